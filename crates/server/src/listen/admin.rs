//! The administrator's socket: a unix socket (0600) in the data directory (0700), whose peers must be our own user or root.

use super::{ACCEPT_PAUSE, REQUEST_TIME_MAX, Stop, serve, stopped};
use crate::{data::Layout, error::StartError, tasks::boxed};
use axum::Router;
use domain::limits;
use std::{fs, io, os::fd::AsFd, os::unix::fs::PermissionsExt, sync::Arc};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use wire::{Sparing, admin::AdminPeer};

/// Connections open at a time.
const CONNECTIONS_MAX: usize = 64;

/// As of the public listener.
static NOT_ACCEPTED: Sparing = Sparing::new();

/// Makes the socket. The data directory is ours alone (its lock is held), so an old socket is a left-over.
///
/// # Errors
/// [`StartError::AdminSocket`], for one if the path is too long for a socket (107 bytes).
pub(crate) fn bind(layout: &Layout) -> Result<UnixListener, StartError> {
    let path = layout.admin_socket();
    let make = || {
        match fs::remove_file(&path) {
            // Its system would tell that the address is in use.
            Err(_) if path.is_dir() => {
                return Err(io::Error::new(
                    io::ErrorKind::IsADirectory,
                    "a folder is in its place: remove it",
                ));
            }
            _left_over => {}
        }
        let listener = UnixListener::bind(&path)?;
        // The directory is closed to others, so nobody can have connected in between.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    make().map_err(|source| StartError::AdminSocket { path: path.clone(), source })
}

/// Accepts until the server stops.
pub(crate) async fn accept(listener: UnixListener, router: Router, mut stop: Stop) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if let Some(left_out) = NOT_ACCEPTED.due() {
                    tracing::warn!(%error, left_out, "cannot accept an administrator's connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(peer) = administrator(&stream) else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(boxed(async move {
            serve(stream, router, stop, |request| {
                request.extensions_mut().insert(peer.clone());
                // A package may be half a gigabyte, and arrives within its own request.
                let is_upload = request.uri().path().ends_with("/deployments");
                Some(if is_upload { limits::PACKAGE_UPLOAD_TIME_MAX } else { REQUEST_TIME_MAX })
            })
            .await;
            drop(place);
        }));
    }
}

/// Who is there, if they may be.
fn administrator(stream: &UnixStream) -> Option<AdminPeer> {
    let peer = match kernel::unix_peer(stream.as_fd()) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(%error, "the kernel does not name the peer of the admin socket");
            return None;
        }
    };
    if peer.uid != 0 && peer.uid != kernel::effective_uid() {
        tracing::warn!(uid = peer.uid, "a stranger at the admin socket");
        return None;
    }
    Some(AdminPeer { uid: peer.uid, pid: Some(peer.pid), executable: peer.executable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_in_place_of_the_socket_is_said_to_be_one() {
        let place = std::env::temp_dir().join(format!("keyless-socket-{}", std::process::id()));
        let layout = Layout::of(&place);
        fs::create_dir_all(layout.admin_socket().join("inside")).unwrap();
        let refused = bind(&layout).unwrap_err().to_string();
        assert!(refused.contains("a folder is in its place: remove it"), "{refused}");
        fs::remove_dir_all(&place).unwrap();
    }
}

//! nginx as a proxy in front of the same app: TLS 1.3 to the client, kept connections to the app, nothing logged and nothing cached.

use crate::{
    cpu,
    hosted::{HOST, free_port},
    scenario,
};
use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running one; ended on drop.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) port: u16,
    /// The certificate that vouches for it, PEM.
    pub(crate) root: String,
}

impl Nginx {
    /// In front of what listens at `app`; none if the program is not there.
    pub(crate) fn start(program: &Path, directory: &Path, app: u16) -> Option<Self> {
        let place = directory.join("nginx");
        fs::create_dir_all(&place).expect("the directory is writable");
        let (chain, key, root) = scenario::certificate(HOST);
        let key = crypt::encoding::base64(&key);
        let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
        let port = free_port();
        for (file, text) in
            [("chain.pem", &*chain), ("key.pem", &*key), ("nginx.conf", &*configuration(port, app))]
        {
            fs::write(place.join(file), text).expect("the directory is writable");
        }
        let mut command = Command::new(program);
        command.arg("-p").arg(&place).args(["-c", "nginx.conf", "-e", "error.log"]).stdin(Stdio::null());
        let child = cpu::spawn_on_server_core(&mut command).ok()?;
        let started = Self { child, port, root };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(place.join("error.log")).unwrap_or_default();
            assert!(begin.elapsed() < Duration::from_secs(10), "nginx does not listen: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(started)
    }

    /// Its one process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One process, as ours is. Answers are passed on as they come and never by way of a file.
fn configuration(port: u16, app: u16) -> String {
    format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path client; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream app {{ server 127.0.0.1:{app}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate chain.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.3;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_max_temp_file_size 0;
      proxy_set_header Connection ''; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host $http_host;
    }}
  }}
}}
"
    )
}

//! How what a token costs depends on how many app registrations there are: it should not.

use crate::{
    load,
    report::{Report, Row, median},
    scenario::{Bench, LOGIN_HOST, Size},
    tokens::{Client, field},
};
use std::{cell::RefCell, rc::Rc, sync::Arc};

/// Clients of the admin socket that fill the directory.
const FILLING: usize = 64;

impl Bench {
    /// Fills the directory over the admin socket, and asks for a token as any of its clients, one after the other.
    pub(crate) async fn many_registrations(&self, report: &mut Report, size: &Size) {
        let clients = Rc::new(RefCell::new(Vec::new()));
        let [few, many] = size.registrations;
        self.register(few, &clients).await;
        let before = self.token_us(&clients, size).await;
        let load::Cost { cpu_us, rate, .. } = self.register(many - few, &clients).await;
        let after = self.token_us(&clients, size).await;
        let what = format!("filling the directory to {many} app registrations, a client secret each");
        let seconds = (many - few) as f64 / rate;
        report.rows.push(Row::figure(&what, format!("{seconds:.0} s, {rate:.0}/s, {cpu_us:.0} us CPU each")));
        report.rows.push(Row::grown(
            &format!("latency of a client credentials token with {many} app registrations, any of them"),
            after,
            &format!("with {few} app registrations"),
            before,
        ));
    }

    /// Makes so many more registrations, each with a client secret.
    async fn register(&self, count: usize, clients: &Rc<RefCell<Vec<Client>>>) -> load::Cost {
        let target = load::Target {
            listener: load::Listener::Unix(self.system.data.join("admin.sock")),
            tls: None,
            pid: self.system.pid(),
        };
        let clients = clients.clone();
        let unit = async move |connection: &mut load::Connection, number: usize| {
            let new = format!(r#"{{"display_name":"Shop {number}"}}"#);
            let id = field(connection.exchange(&post("/v1/registrations", &new)).await, "client_id");
            let path = format!("/v1/registrations/{id}/credentials");
            let secret = field(connection.exchange(&post(&path, "{}")).await, "secret");
            clients.borrow_mut().push(Client { id, secret });
        };
        load::drive(&target, FILLING, count, unit).await
    }

    /// Wall time of a token, over one connection, in microseconds.
    async fn token_us(&self, clients: &RefCell<Vec<Client>>, size: &Size) -> f64 {
        let target = self.system.target(&self.root, LOGIN_HOST);
        let endpoint = self.token_endpoint();
        let count = if size.rounds > 3 { 500 } else { 100 };
        let mut times = Vec::new();
        for round in 0..size.rounds {
            let form = |number: usize| {
                let clients = clients.borrow();
                // A stride that shares no factor with the number of clients: all over the directory, none twice before all.
                clients[(round * count + number) * 7_919 % clients.len()].credentials_form()
            };
            let requests: Vec<Vec<u8>> = (0..count).map(|number| endpoint.request(&form(number))).collect();
            times.push(1_000_000.0 / load::run(&target, Arc::new(requests), 1, count).await.rate);
        }
        median(times)
    }
}

/// A request to the admin socket.
fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

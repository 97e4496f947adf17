//! A Java program with nothing but the JDK.

use e2e::{Server, note, setting, skip};

const PROGRAM: &str = r#"
import java.net.URI;
import java.net.http.*;

class Get {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(System.getenv("VAULT_URL") + "/secrets?api-version=7.4")).build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
    }
}
"#;

#[test]
fn plain_java_trusts_the_names() {
    let Some(java) = setting("JAVA") else { return skip("no Java on this machine") };
    let server = Server::start("java");
    let _said = server.keyless(["vault", "create", "shop"]).ok();
    let source = server.place().join("Get.java");
    std::fs::write(&source, PROGRAM).unwrap();
    assert_eq!(server.run_as("web", "shop", &[&java, &source.display().to_string()], "").ok(), "401\n");
    note("Java java.net.http", "name and certificate inside `keyless run`", "works");
}

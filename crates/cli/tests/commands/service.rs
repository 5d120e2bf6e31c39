//! `serve` and `keys`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::place::Place;
use crate::{alone, run, succeed};

#[test]
fn keys_are_made_listed_and_revoked() {
    let place = Place::new();
    assert_eq!(succeed(&place, "keys list --data d").stdout, "no keys\n");
    let made = succeed(&place, "keys add phone --data d");
    let secret = made.stdout.trim();
    assert!(
        secret.starts_with("imagegen_") && secret.len() == 73,
        "{secret}"
    );
    assert!(made.stderr.contains("made key phone ("), "{}", made.stderr);
    let list = succeed(&place, "keys list --data d").stdout;
    assert!(
        list.contains("  phone\n") && !list.contains(secret),
        "{list}"
    );
    let json = succeed(&place, "keys list --json --data d").json();
    assert_eq!(json["keys"][0]["name"], "phone");
    assert!(json["keys"][0].get("sha256").is_none());
    run(&place, "keys add phone --data d").assert_refused(1, &["\"phone\" exists already"]);
    run(&place, "keys revoke tablet --data d").assert_refused(1, &["\"tablet\"", "\"phone\""]);
    let id = json["keys"][0]["id"].as_str().unwrap();
    let revoked = succeed(&place, &format!("keys revoke {id} --data d"));
    assert!(
        revoked.stderr.contains("revoked key phone"),
        "{}",
        revoked.stderr
    );
    assert_eq!(succeed(&place, "keys list --data d").stdout, "no keys\n");
}

#[test]
fn an_address_for_others_demands_a_key() {
    let place = Place::new();
    for line in [
        "serve --data d --address 0.0.0.0:0",
        "serve --data d --address 127.0.0.1:0 --host pictures.example",
    ] {
        let done = run(&place, line);
        done.assert_refused(1, &["there is no key", "expected at least one"]);
        assert!(
            done.stderr
                .contains("hint: make a key with `imagegen keys add")
        );
    }
    run(&place, "serve --address here").assert_refused(2, &["here"]);
    let line = "serve --data d --address 127.0.0.1:0 --allow-origin *";
    run(&place, line).assert_refused(1, &["origin is \"*\""]);
}

/// A service that is stopped whatever becomes of the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it is over already where the test went well
    }
}

#[test]
#[cfg(unix)]
fn the_service_answers_until_it_is_told_to_end() {
    let place = Place::new();
    let arguments = [
        "serve",
        "--data",
        "d",
        "--address",
        "127.0.0.1:0",
        "--threads",
        "1",
    ];
    let mut command = alone(&place, &arguments);
    let mut service = Service(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(service.0.stderr.take().unwrap()).lines();
    let line = lines.find_map(|line| {
        let line = line.unwrap();
        line.strip_prefix("serving http://").map(str::to_owned)
    });
    let line = line.expect("it says where it listens");
    let address = line.split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");

    run(&place, "serve --data d --address 127.0.0.1:0")
        .assert_refused(1, &["is in use by another process"]);
    let number = service.0.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &number])
        .status();
    assert!(told.unwrap().success());
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.ends_with("ended")), "{rest:?}");
    assert_eq!(service.0.wait().unwrap().code(), Some(0));
}

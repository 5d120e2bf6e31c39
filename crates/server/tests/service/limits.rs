//! What a client may ask for, and how long it may take.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::hall::{Hall, PATIENCE, json_of, painted, refusal, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_over_the_limit_is_drained_and_the_limit_named() {
    let hall = Hall::open().await;
    let long = vec![7; (10 << 20) + 1];
    let answer = hall.upload("/sources", long.clone()).await;
    let error = json_of(answer, 413).await["error"].clone();
    assert_eq!(error["code"], "too_large");
    assert!(
        text(&error["message"]).contains("10 MiB (10485760 bytes)"),
        "{error}"
    );
    let form = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(long.clone()).file_name("a.png"),
    );
    let request = hall
        .client
        .post(hall.url("/api/v1/sources"))
        .multipart(form);
    let error = json_of(request.send().await.unwrap(), 413).await["error"].clone();
    assert!(text(&error["message"]).contains("10 MiB"), "{error}");

    // In pieces, without a length; and the connection serves the next request.
    let mut bytes =
        b"POST /api/v1/sources HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for piece in long.chunks(1 << 20) {
        bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let answer = hall.raw(&bytes).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_leave_is_spared_the_upload() {
    let hall = Hall::open().await;
    let head = "POST /api/v1/sources HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\
                expect: 100-continue\r\n\r\n";
    let answer = hall.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_let_go() {
    let hall = Hall::with(|config, _| {
        config.times.head = Duration::from_millis(300);
        config.times.pause = Duration::from_millis(300);
        config.times.drain = Duration::from_millis(300);
    })
    .await;
    let since = Instant::now();
    // A head that never ends.
    let head = hall.raw(b"GET / HTTP/1.1\r\nhost: localh").await;
    assert!(
        head.is_empty() || head.starts_with("HTTP/1.1 408 "),
        "{head}"
    );
    // A body that stops in the middle.
    let body =
        b"POST /api/v1/sources HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nabc";
    let answer = hall.raw(body).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("too_slow"), "{answer}");
    assert!(since.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_ended_too() {
    let hall = Hall::with(|config, _| {
        config.times.body = Duration::from_millis(500);
        config.times.drain = Duration::from_millis(100);
    })
    .await;
    let mut stream = TcpStream::connect(hall.address).await.unwrap();
    let head = b"POST /api/v1/sources HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = [0; 12];
    let read = tokio::time::timeout(PATIENCE, reading.read_exact(&mut answer)).await;
    read.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    trickle.abort();
}

/// A checksum as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_and_broken_files_are_refused_and_the_service_stays_up() {
    let hall = Hall::open().await;
    let whole = painted(80, 64, 3);
    let mut bomb = whole.clone();
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let sum = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    let answer = hall.upload("/sources", bomb).await;
    assert_eq!(refusal(answer, 422).await.0, "too_many_pixels");
    for (bytes, status, code) in [
        (whole[..whole.len() / 2].to_vec(), 422, "unusable_source"),
        (Vec::new(), 422, "unusable_source"),
        (
            b"<html>no picture</html>".to_vec(),
            415,
            "unsupported_picture",
        ),
        (b"%PDF-1.7 x".to_vec(), 415, "unsupported_picture"),
    ] {
        let answer = hall.upload("/sources", bytes).await;
        assert_eq!(refusal(answer, status).await.0, code);
    }
    let long = json!({"source": "0", "prompt": "x".repeat(300 << 10)});
    let answer = hall.post("/transforms", &long).await;
    assert_eq!(refusal(answer, 413).await.0, "too_large");
    let deep = "[".repeat(100_000);
    let request = hall.client.post(hall.url("/api/v1/transforms")).body(deep);
    let request = request.header("content-type", "application/json");
    assert!(request.send().await.unwrap().status().is_client_error());
    assert_eq!(
        hall.upload("/sources", whole).await.status(),
        StatusCode::CREATED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_when_to_come_again() {
    let hall = Hall::with(|_, limits| {
        limits.queued = 1;
        limits.per_owner = 100;
    })
    .await;
    let source = hall.put("a.png").await;
    let mut full = None;
    // One runs, one waits; which comes first is the worker's business.
    for _ in 0..4 {
        let answer = hall.order_long(&source).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            full = Some(answer);
            break;
        }
    }
    let full = full.expect("the queue has an end");
    let seconds: u64 = full.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(seconds >= 1);
    assert_eq!(refusal(full, 429).await.0, "queue_full");
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_whole_queue() {
    let hall = Hall::with(|_, limits| limits.per_owner = 1).await;
    let source = hall.put("a.png").await;
    assert_eq!(
        hall.order_long(&source).await.status(),
        StatusCode::ACCEPTED
    );
    let answer = hall.order_long(&source).await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(refusal(answer, 429).await.0, "too_many_jobs");
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_uploads_more_than_their_share_at_a_time() {
    let hall = Hall::with(|config, _| config.limits.at_once = 1).await;
    let head =
        b"POST /api/v1/sources HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nabc";
    let since = Instant::now();
    let slow = loop {
        // A new one each time: the last may itself have come while an upload of this loop was under way.
        let mut slow = TcpStream::connect(hall.address).await.unwrap();
        slow.write_all(head).await.unwrap();
        let answer = hall.upload("/sources", painted(80, 64, 4)).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
            assert_eq!(refusal(answer, 429).await.0, "too_many_requests");
            break slow;
        }
        assert!(since.elapsed() < PATIENCE, "the slow one never counted");
    };
    drop(slow);
    while hall.upload("/sources", painted(80, 64, 4)).await.status() != StatusCode::OK {
        assert!(
            since.elapsed() < PATIENCE,
            "the slow one counts after its end"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_do_not_leave_their_folders() {
    let hall = Hall::open().await;
    let outside = hall.folder().parent().unwrap().join("imagegen-outside.png");
    let answer = hall.upload(
        "/sources?name=..%2F..%2Fimagegen-outside.png",
        painted(80, 64, 5),
    );
    let source = json_of(answer.await, 201).await;
    assert_eq!(source["name"], "imagegen-outside.png");
    assert!(!outside.exists());
    for path in [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/../../Cargo.toml",
        "/api/v1/sources/..%2f..%2fjobs.sqlite",
        "/api/v1/sources/%2e%2e",
        "/api/v1/jobs/..%2f..%2fkeys.json",
        "/api/v1/jobs/../../keys.json",
        "/api/v1/jobs/%00/sheet",
        "/api/v1/examples/..%2f..%2fCargo.toml",
        "/api/v1/docs/../../Cargo.toml",
    ] {
        let line = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = hall.raw(line.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
        assert!(
            !answer.contains("root:") && !answer.contains("[package]"),
            "{path}"
        );
    }
}

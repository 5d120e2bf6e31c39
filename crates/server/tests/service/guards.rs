//! Who may call: names, pages, keys.

use imagegen_server::{Keys, ServeError, Server};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::json;

use crate::hall::{Hall, config, events, jobs, json_of, painted, refusal, text};

async fn asked(hall: &Hall, method: Method, headers: &[(&str, &str)]) -> Response {
    let mut request = hall
        .client
        .request(method, hall.url("/api/v1/examples/cat"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_turned_on_us_is_refused() {
    let hall = Hall::open().await;
    for host in [
        "evil.example",
        "evil.example:7860",
        "127.0.0.1.evil.example",
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = asked(&hall, method, &[("host", host)]).await;
            assert_eq!(refusal(answer, 421).await.0, "foreign_host", "{host}");
        }
        let request = hall.client.get(hall.url("/")).header("host", host);
        let status = request.send().await.unwrap().status();
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "the page too");
    }
    for host in ["localhost", "127.0.0.1:99", "[::1]:7860"] {
        let answer = asked(&hall, Method::GET, &[("host", host)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
    let none = hall
        .raw(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        .await;
    assert!(none.starts_with("HTTP/1.1 400 "), "{none}");
    let two =
        b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert!(hall.raw(two).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_order_nothing() {
    let hall = Hall::open().await;
    let own = format!("http://{}", hall.address);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        for method in [Method::POST, Method::GET] {
            let answer = asked(&hall, method, &[("origin", origin)]).await;
            assert_eq!(refusal(answer, 403).await.0, "foreign_page", "{origin}");
        }
    }
    let form = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    let answer = asked(&hall, Method::POST, &form).await;
    assert_eq!(refusal(answer, 403).await.0, "foreign_page");
    let picture = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "no-cors"),
    ];
    let answer = asked(&hall, Method::GET, &picture).await;
    assert_eq!(refusal(answer, 403).await.0, "foreign_page");
    // What a form can send without asking is no JSON.
    let request = hall.client.post(hall.url("/api/v1/transforms"));
    let request = request.header("content-type", "text/plain").body("{}");
    assert_eq!(
        refusal(request.send().await.unwrap(), 415).await.0,
        "not_json"
    );
    let answer = asked(&hall, Method::POST, &[("origin", own.as_str())]).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_were_allowed_may_call() {
    let hall = Hall::with(|config, _| {
        config.origins.push("https://editor.example".to_owned());
    })
    .await;
    let asks = |origin: &'static str| {
        let request = hall
            .client
            .request(Method::OPTIONS, hall.url("/api/v1/transforms"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            );
        async { request.send().await.unwrap().headers().clone() }
    };
    let headers = asks("https://editor.example").await;
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://editor.example"
    );
    assert!(
        headers["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("authorization")
    );
    assert!(
        !headers.contains_key("access-control-allow-credentials"),
        "cookies stay at home"
    );
    let headers = asks("https://evil.example").await;
    assert!(!headers.contains_key("access-control-allow-origin"));
    let allowed = [("origin", "https://editor.example")];
    let answer = asked(&hall, Method::POST, &allowed).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(
        answer.headers()["access-control-allow-origin"],
        "https://editor.example"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_others_demands_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let local = config(folder.path());
    let jobs = jobs(&local, imagegen_server::JobLimits::default());
    let mut everywhere = local.clone();
    everywhere.address = "0.0.0.0:0".parse().unwrap();
    let mut behind = local.clone();
    behind.hosts.push("pictures.example".to_owned());
    for config in [&everywhere, &behind] {
        let error = Server::bind(config.clone(), jobs.clone())
            .await
            .unwrap_err();
        assert!(matches!(error, ServeError::NoKey { .. }), "{error}");
    }
    Keys::open(folder.path()).unwrap().add("phone").unwrap();
    for config in [everywhere, behind] {
        Server::bind(config, jobs.clone()).await.unwrap();
    }
    let mut wrong = local.clone();
    wrong.hosts.push("https://x".to_owned());
    let error = Server::bind(wrong, jobs.clone()).await.unwrap_err();
    assert!(matches!(error, ServeError::Host { .. }), "{error}");
    for origin in ["*", "example.org", "https://", "https://a/b"] {
        let mut wrong = local.clone();
        wrong.origins.push(origin.to_owned());
        let error = Server::bind(wrong, jobs.clone()).await.unwrap_err();
        assert!(matches!(error, ServeError::Origin { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_opens_without_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let key = keys.add("phone").unwrap();
    let hall = Hall::on(folder, |_, _| {}).await;
    for path in [
        "/api/v1/jobs",
        "/api/v1/models",
        "/api/v1/examples",
        "/metrics",
    ] {
        for wrong in ["", "Bearer ", "Bearer imagegen_0", "Basic x"] {
            let request = hall
                .client
                .get(hall.url(path))
                .header("authorization", wrong);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            assert_eq!(refusal(answer, 401).await.0, "no_key", "{path} {wrong}");
        }
        let request = hall.client.get(hall.url(path)).bearer_auth(&key.secret);
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::OK,
            "{path}"
        );
    }
    let answer = hall.upload("/sources", painted(80, 64, 1)).await;
    assert_eq!(refusal(answer, 401).await.0, "no_key");
    for open in [
        "/",
        "/healthz",
        "/readyz",
        "/api/v1/session",
        "/api/v1/docs",
    ] {
        let status = hall
            .client
            .get(hall.url(open))
            .send()
            .await
            .unwrap()
            .status();
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{open}");
    }
    keys.revoke("phone").unwrap();
    let request = hall
        .client
        .get(hall.url("/api/v1/jobs"))
        .bearer_auth(&key.secret);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED,
        "revoked"
    );
    let status = hall.get("/jobs").await.status();
    assert_eq!(
        status,
        StatusCode::UNAUTHORIZED,
        "no key is left, and one is demanded"
    );
    let folder = hall.close().await;
    let config = config(folder.path());
    assert!(
        matches!(
            imagegen_server::check(&config),
            Err(ServeError::AllRevoked { .. })
        ),
        "nor does a restart open the door"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let (phone, other) = (keys.add("phone").unwrap(), keys.add("other").unwrap());
    let hall = Hall::on(folder, |_, _| {}).await;
    let as_phone = |method, path: &str| {
        let request = hall.client.request(method, hall.url(path));
        request.bearer_auth(&phone.secret)
    };
    let upload = as_phone(Method::POST, "/api/v1/sources").body(painted(80, 64, 30));
    let source = json_of(upload.send().await.unwrap(), 201).await;
    let order =
        json!({"source": source["sha256"], "prompt": "winter", "strength": 1, "steps": 1000});
    let order = as_phone(Method::POST, "/api/v1/transforms").json(&order);
    let job = json_of(order.send().await.unwrap(), 202).await;
    let path = format!("/api/v1/jobs/{}/events", text(&job["id"]));
    let stream = as_phone(Method::GET, &path).send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    keys.revoke("phone").unwrap();
    let heard = events(&stream.text().await.unwrap());
    let (name, said) = heard.last().unwrap();
    assert_eq!(
        (name.as_str(), &said["error"]["code"]),
        ("refused", &json!("no_key"))
    );
    assert!(!heard.iter().any(|(name, _)| name == "done"), "{heard:?}");
    let others = hall.client.get(hall.url("/api/v1/jobs"));
    let others = others.bearer_auth(&other.secret).send().await.unwrap();
    assert_eq!(
        others.status(),
        StatusCode::OK,
        "other keys are not touched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_with_a_cookie() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let key = keys.add("anna").unwrap();
    let hall = Hall::on(folder, |config, _| {
        config.origins.push("https://editor.example".to_owned());
    })
    .await;
    let session = json_of(hall.get("/session").await, 200).await;
    assert_eq!(
        (&session["key_required"], &session["signed_in"]),
        (&json!(true), &json!(false))
    );
    let answer = hall
        .post("/session", &json!({"key": "imagegen_wrong"}))
        .await;
    assert_eq!(refusal(answer, 401).await.0, "wrong_key");
    let answer = hall.post("/session", &json!({"key": key.secret})).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let set = answer.headers()[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Strict"),
        "{set}"
    );
    assert!(
        !set.contains("Secure") && !set.contains(&key.secret),
        "{set}"
    );
    let cookie = set.split(';').next().unwrap().to_owned();
    let asked = |path: &str| {
        let request = hall
            .client
            .get(hall.url(path))
            .header("cookie", cookie.clone());
        async { request.send().await.unwrap() }
    };
    let session = json_of(asked("/api/v1/session").await, 200).await;
    assert_eq!(
        (&session["signed_in"], &session["name"]),
        (&json!(true), &json!("anna"))
    );
    assert_eq!(asked("/api/v1/jobs").await.status(), StatusCode::OK);
    let elsewhere = hall
        .client
        .get(hall.url("/api/v1/jobs"))
        .header("cookie", cookie.clone())
        .header("origin", "https://editor.example");
    assert_eq!(
        elsewhere.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED,
        "pages of others, allowed or not, have keys of their own"
    );
    let request = hall.client.delete(hall.url("/api/v1/session"));
    let answer = request
        .header("cookie", cookie.clone())
        .send()
        .await
        .unwrap();
    assert!(
        answer.headers()[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(
        asked("/api/v1/jobs").await.status(),
        StatusCode::UNAUTHORIZED
    );
    let request = hall.client.post(hall.url("/api/v1/session"));
    let request = request.header("x-forwarded-proto", "https");
    let answer = request
        .json(&json!({"key": key.secret}))
        .send()
        .await
        .unwrap();
    let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(set.contains("; Secure"), "{set}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_sees_their_own_jobs_alone() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let (anna, ben) = (keys.add("anna").unwrap(), keys.add("ben").unwrap());
    let hall = Hall::on(folder, |_, _| {}).await;
    let call = |key: &str, method: Method, path: &str| {
        let request = hall
            .client
            .request(method, hall.url(&format!("/api/v1{path}")));
        request.bearer_auth(key)
    };
    let order = json!({"prompt": "winter", "width": 64, "height": 64, "steps": 1});
    let request = call(&anna.secret, Method::POST, "/generations").json(&order);
    let job = json_of(request.send().await.unwrap(), 202).await;
    let id = job["id"].as_str().unwrap();
    for (method, rest) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/cancel"),
        (Method::PUT, "/favourite"),
        (Method::GET, "/events"),
        (Method::GET, "/results/0"),
        (Method::GET, "/preview"),
    ] {
        let request = call(&ben.secret, method, &format!("/jobs/{id}{rest}"));
        let answer = request.send().await.unwrap();
        assert_eq!(refusal(answer, 404).await.0, "unknown_job", "{rest}");
    }
    let seen = |key: String| {
        let request = call(&key, Method::GET, "/jobs");
        async {
            json_of(request.send().await.unwrap(), 200).await["jobs"]
                .as_array()
                .unwrap()
                .len()
        }
    };
    assert_eq!(
        (
            seen(anna.secret.clone()).await,
            seen(ben.secret.clone()).await
        ),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_what_it_may_do() {
    let hall = Hall::open().await;
    for path in [
        "/",
        "/api/v1/session",
        "/api/v1/nothing",
        "/nothing",
        "/api/v1/docs",
        "/healthz",
    ] {
        let answer = hall.client.get(hall.url(path)).send().await.unwrap();
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe-eval") && !policy.contains("http"),
            "{path}: {policy}"
        );
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(
            headers["cross-origin-resource-policy"], "same-origin",
            "{path}"
        );
    }
}

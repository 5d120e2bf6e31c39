//! Pulls from a stand-in hub on this machine, which cuts, lies, sends on and refuses.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imagegen_hub::{Error, Hub, Pull, Repository, Unwatched};
use sha2::{Digest, Sha256};

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    path: String,
    from: Option<usize>,
    token: Option<String>,
}

/// What is answered.
#[derive(Default)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Bytes of the body after which the line is cut.
    cut: Option<usize>,
}

impl Answer {
    fn of(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    fn json(text: impl ToString) -> Self {
        Self {
            status: 200,
            body: text.to_string().into_bytes(),
            ..Self::default()
        }
    }
}

/// A hub that answers by a function, and remembers what it was asked.
struct Stand {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stand {
    fn new(answer: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let Some(one) = read(&stream) else { continue };
                heard.lock().unwrap().push(one.clone());
                write(stream, answer(&one));
            }
        });
        Self { address, asked }
    }

    fn hub(&self) -> Hub {
        let token = Some("hf_secret".to_owned());
        Hub::new(&self.address, token)
            .unwrap()
            .pausing(Duration::ZERO)
    }

    fn asked(&self, part: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|one| one.path.contains(part))
            .cloned()
            .collect()
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut asked = Asked {
        path: first.split(' ').nth(1)?.to_owned(),
        from: None,
        token: None,
    };
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "range" => {
                let from = value.strip_prefix("bytes=")?.strip_suffix('-')?;
                asked.from = Some(from.parse().ok()?);
            }
            "authorization" => asked.token = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(asked)
}

fn write(mut stream: TcpStream, answer: Answer) {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", answer.body.len());
    let end = answer
        .cut
        .unwrap_or(answer.body.len())
        .min(answer.body.len());
    // Whoever hangs up early has seen enough.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&answer.body[..end]);
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

type Files = BTreeMap<&'static str, Vec<u8>>;

/// A model in the diffusers layout, as far as a hub knows.
fn folder() -> Files {
    let weights = |seed: u32| {
        (0..30_000u32)
            .map(|i| (i.wrapping_mul(seed) >> 7) as u8)
            .collect()
    };
    BTreeMap::from([
        ("model_index.json", b"{}".to_vec()),
        ("README.md", b"# A model".to_vec()),
        ("scheduler/scheduler_config.json", b"{}".to_vec()),
        ("unet/config.json", b"{\"a\": 1}".to_vec()),
        ("unet/diffusion_pytorch_model.safetensors", weights(77)),
        ("unet/diffusion_pytorch_model.bin", weights(78)),
        ("vae/config.json", b"{}".to_vec()),
        ("vae/diffusion_pytorch_model.safetensors", weights(79)),
    ])
}

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// What a sound hub answers about these files of `o/m`.
fn sound(files: &Files, asked: &Asked) -> Answer {
    if asked.path == "/api/models/o/m/revision/main" {
        return Answer::json(r#"{"sha": "c0ffee", "gated": false}"#);
    }
    if asked.path == "/api/models/o/m/tree/c0ffee?recursive=true" {
        let entries = files.iter().map(|(path, bytes)| {
            let size = bytes.len();
            let large = match size > 1000 {
                true => format!(r#", "lfs": {{"oid": "{}", "size": {size}}}"#, sha256(bytes)),
                false => String::new(),
            };
            format!(r#"{{"type": "file", "oid": "x", "path": "{path}", "size": {size}{large}}}"#)
        });
        let entries: Vec<_> = entries.collect();
        return Answer::json(format!(
            r#"[{{"type": "directory", "path": "unet", "oid": "y"}}, {}]"#,
            entries.join(", ")
        ));
    }
    let path = asked.path.strip_prefix("/o/m/resolve/c0ffee/");
    let Some(bytes) = path.and_then(|path| files.get(path)) else {
        return Answer::of(404);
    };
    match asked.from {
        None => Answer {
            status: 200,
            body: bytes.clone(),
            ..Answer::default()
        },
        Some(from) => Answer {
            status: 206,
            headers: vec![("Content-Range", format!("bytes {from}-/{}", bytes.len()))],
            body: bytes[from..].to_vec(),
            cut: None,
        },
    }
}

fn pull(stand: &Stand, folder: &Path, file: Option<&str>) -> Result<std::path::PathBuf, Error> {
    let repository: Repository = "o/m".parse().unwrap();
    let pull = Pull {
        repository: &repository,
        variant: None,
        file,
        folder,
        name: "mine",
    };
    pull.carry_out(&stand.hub(), &mut Unwatched)
}

/// Every name under a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_is_there_whole_with_what_is_needed_alone() {
    let files = folder();
    let stand = Stand::new(move |asked| sound(&files, asked));
    let place = tempfile::tempdir().unwrap();
    let path = pull(&stand, place.path(), None).unwrap();
    assert_eq!(path, place.path().join("mine"));
    assert_eq!(names(place.path()), ["mine"], "nothing unfinished is left");
    assert_eq!(
        names(&path),
        ["model_index.json", "scheduler", "unet", "vae"]
    );
    assert_eq!(
        names(&path.join("unet")),
        ["config.json", "diffusion_pytorch_model.safetensors"]
    );
    assert!(fs::read(path.join(UNET)).unwrap() == folder()[UNET]);
    let asked = stand.asked("");
    assert!(
        asked
            .iter()
            .all(|one| one.token.as_deref() == Some("Bearer hf_secret"))
    );

    // Nothing is replaced.
    let error = pull(&stand, place.path(), None).unwrap_err();
    assert!(matches!(error, Error::Taken { .. }), "{error}");
    let single = tempfile::tempdir().unwrap();
    let path = pull(&stand, single.path(), Some(UNET)).unwrap();
    assert_eq!(path, single.path().join("mine.safetensors"));
    assert!(fs::read(path).unwrap() == folder()[UNET]);
    assert_eq!(names(single.path()), ["mine.safetensors"]);
}

#[test]
fn a_line_that_is_cut_is_picked_up_where_it_was() {
    let files = folder();
    let stand = Stand::new(move |asked| {
        let mut answer = sound(&files, asked);
        if asked.path.ends_with(UNET) && asked.from.unwrap_or(0) < 20_000 {
            answer.cut = Some(10_000);
        }
        answer
    });
    let place = tempfile::tempdir().unwrap();
    let path = pull(&stand, place.path(), None).unwrap();
    assert!(fs::read(path.join(UNET)).unwrap() == folder()[UNET]);
    let from: Vec<_> = stand.asked(UNET).iter().map(|one| one.from).collect();
    assert_eq!(from, [None, Some(10_000), Some(20_000)]);
}

#[test]
fn an_interrupted_pull_leaves_no_name_and_is_gone_on_with() {
    let files = folder();
    let stand = Stand::new(
        move |asked| match (asked.path.ends_with(UNET), asked.from) {
            (true, None) => Answer {
                cut: Some(12_345),
                ..sound(&files, asked)
            },
            (true, Some(_)) => Answer::of(503),
            _ => sound(&files, asked),
        },
    );
    let place = tempfile::tempdir().unwrap();
    let error = pull(&stand, place.path(), None).unwrap_err();
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    assert!(error.hint().unwrap().contains("again"));
    assert_eq!(names(place.path()), [".unfinished"]);

    let files = folder();
    let healed = Stand::new(move |asked| sound(&files, asked));
    let path = pull(&healed, place.path(), None).unwrap();
    assert!(fs::read(path.join(UNET)).unwrap() == folder()[UNET]);
    let from: Vec<_> = healed.asked(UNET).iter().map(|one| one.from).collect();
    assert_eq!(from, [Some(12_345)]);
    assert_eq!(names(place.path()), ["mine"]);
}

#[test]
fn a_hub_that_knows_no_ranges_is_read_from_the_start() {
    let files = folder();
    let stand = Stand::new(move |asked| {
        let whole = Asked {
            from: None,
            ..asked.clone()
        };
        let mut answer = sound(&files, &whole);
        if asked.path.ends_with(UNET) && asked.from.is_none() {
            answer.cut = Some(500);
        }
        answer
    });
    let place = tempfile::tempdir().unwrap();
    let path = pull(&stand, place.path(), None).unwrap();
    assert!(fs::read(path.join(UNET)).unwrap() == folder()[UNET]);
}

#[test]
fn what_differs_from_its_hash_is_not_kept() {
    for longer in [false, true] {
        let files = folder();
        let stand = Stand::new(move |asked| {
            let mut answer = sound(&files, asked);
            if asked.path.ends_with(UNET) {
                answer.body[77] ^= 1;
                answer.body.extend(vec![0; if longer { 9 } else { 0 }]);
            }
            answer
        });
        let place = tempfile::tempdir().unwrap();
        let error = pull(&stand, place.path(), None).unwrap_err();
        assert!(matches!(error, Error::Differs { .. }), "{error}");
        assert!(error.to_string().contains(UNET), "{error}");
        assert_eq!(names(place.path()), [".unfinished"], "no name");
        let unet = place.path().join(".unfinished/mine/files/unet");
        assert_eq!(names(&unet), ["config.json"], "nothing of it");
    }
}

#[test]
fn a_token_is_for_the_hub_alone() {
    let files = folder();
    let store = Stand::new(move |asked| {
        let path = asked.path.replace("/signed/", "/o/m/resolve/c0ffee/");
        sound(
            &files,
            &Asked {
                path,
                ..asked.clone()
            },
        )
    });
    let (files, elsewhere) = (folder(), store.address.clone());
    let stand = Stand::new(move |asked| {
        if let Some(path) = asked.path.strip_prefix("/o/m/resolve/c0ffee/") {
            let location = match path.ends_with(".safetensors") {
                true => format!("{elsewhere}/signed/{path}"),
                // Small files are elsewhere on the hub itself.
                false => format!("/cache/{path}"),
            };
            return Answer {
                headers: vec![("Location", location)],
                ..Answer::of(302)
            };
        }
        let path = asked.path.replace("/cache/", "/o/m/resolve/c0ffee/");
        sound(
            &files,
            &Asked {
                path,
                ..asked.clone()
            },
        )
    });
    let place = tempfile::tempdir().unwrap();
    let path = pull(&stand, place.path(), None).unwrap();
    assert!(fs::read(path.join(UNET)).unwrap() == folder()[UNET]);
    let signed = store.asked("");
    assert_eq!(signed.len(), 2);
    assert!(signed.iter().all(|one| one.token.is_none()), "{signed:?}");
    let cached = stand.asked("/cache/");
    assert!(!cached.is_empty() && cached.iter().all(|one| one.token.is_some()));
}

#[test]
fn a_listing_that_leads_out_of_the_folder_is_refused() {
    for path in [
        "../../evil.json",
        "unet/../../evil.json",
        "/evil.json",
        "unet\\\\evil.json",
    ] {
        let stand = Stand::new(move |asked| match asked.path.contains("/tree/") {
            false => sound(&folder(), asked),
            true => Answer::json(format!(
                r#"[{{"type": "file", "path": "model_index.json", "size": 2}},
                    {{"type": "file", "path": "{path}", "size": 2}}]"#
            )),
        });
        let place = tempfile::tempdir().unwrap();
        let error = pull(&stand, place.path(), None).unwrap_err();
        assert!(
            error.to_string().contains("expected paths inside of it"),
            "{error}"
        );
        assert!(names(place.path()).is_empty());
    }
}

#[test]
fn refusals_say_what_to_do() {
    type Refusal<'a> = (u16, &'a [(&'static str, &'a str)], &'a str, &'a str);
    let cases: [Refusal<'_>; 6] = [
        (
            403,
            &[("X-Error-Code", "GatedRepo")],
            "accepted its licence at http",
            "accept the licence",
        ),
        (
            401,
            &[("X-Error-Code", "RepoNotFound")],
            "o/m is not on 127.0.0.1",
            "check the name",
        ),
        (
            404,
            &[("X-Error-Code", "RevisionNotFound")],
            "o/m is not on 127.0.0.1",
            "check the name",
        ),
        (
            401,
            &[],
            "status 401, with the token in HF_TOKEN",
            "make a new token",
        ),
        (429, &[("Retry-After", "30")], "again in 30 s", "later"),
        (500, &[], "status 500", ""),
    ];
    for (status, headers, said, hint) in cases {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let stand = Stand::new(move |_| Answer {
            headers: headers.clone(),
            ..Answer::of(status)
        });
        let place = tempfile::tempdir().unwrap();
        let error = pull(&stand, place.path(), None).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{error}");
    }
    // Nobody is there.
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let hub = Hub::new(&format!("http://{gone}"), None).unwrap();
    let error = hub.snapshot(&"o/m".parse().unwrap()).unwrap_err();
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    // A page of another service.
    let stand = Stand::new(|_| Answer::json("<!DOCTYPE html>"));
    let error = stand.hub().snapshot(&"o/m".parse().unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected the commit of a revision"),
        "{error}"
    );
}

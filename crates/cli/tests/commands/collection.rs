//! The user's own models: `models add`, `models remove`, `models --available`, `pull`.

use std::fs;
use std::path::PathBuf;

use imagegen_conformance::weights::{SingleFile, pack, reference, write_folder};
use safetensors::Dtype;

use crate::place::{Done, Place};
use crate::{alone, autoencoder, run, succeed};

fn own(place: &Place, name: &str) -> PathBuf {
    place
        .path("../home/.local/share/imagegen/models")
        .join(name)
}

fn names(place: &Place) -> Vec<String> {
    let json = succeed(place, "models --json").json();
    let models = json["models"].as_array().unwrap().iter().skip(1);
    models
        .map(|model| model["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_model_is_linked_or_copied_and_removed_again() {
    let place = Place::with_source();
    let whole = pack(SingleFile::read("sd1").tensors, Dtype::F16);
    place.put("one.safetensors", &whole);
    place.put("two.safetensors", &whole);
    place.put("two.vae.safetensors", &autoencoder());
    write_folder("sd", &place.path("folder"));
    place.put("folder/notes.txt", b"not read");
    let said = succeed(&place, "models add one.safetensors").stderr;
    assert!(said.contains("as one: Stable Diffusion 1"), "{said}");
    succeed(&place, "models add two.safetensors --copy --name second");
    succeed(&place, "models add folder --copy --name painter");
    assert_eq!(names(&place), ["one", "painter", "second"]);
    assert!(own(&place, "one.safetensors").is_symlink());
    assert!(own(&place, "second.vae.safetensors").is_file());
    assert!(!own(&place, "painter/notes.txt").exists());
    // Copies need nothing else, and links no more than their model.
    for gone in ["two.safetensors", "two.vae.safetensors"] {
        fs::remove_file(place.path(gone)).unwrap();
    }
    fs::remove_dir_all(place.path("folder")).unwrap();
    for name in ["one", "second", "painter"] {
        succeed(
            &place,
            &format!("transform a.png -p winter --steps 1 -s 0.3 --model {name} -o {name}.png"),
        );
    }
    for name in ["one", "second", "painter"] {
        succeed(&place, &format!("models remove {name}"));
    }
    assert!(names(&place).is_empty());
    assert!(!own(&place, "second.vae.safetensors").exists());
    assert!(
        place.bytes("one.safetensors") == whole,
        "only the link is gone"
    );
}

#[test]
fn what_does_not_run_or_has_no_name_of_its_own_is_not_added() {
    let place = Place::with_source();
    place.put(
        "one.safetensors",
        &pack(SingleFile::read("sd1").tensors, Dtype::F16),
    );
    place.put("lora.safetensors", &reference("lora_sd_kohya.safetensors"));
    run(&place, "models add lora.safetensors").assert_refused(1, &["a LoRA"]);
    run(&place, "models add nothing").assert_refused(1, &["cannot read nothing"]);
    for name in ["../one", "a/b", ".one", "starter"] {
        let code = run(&place, &format!("models add one.safetensors --name {name}")).code;
        assert_eq!(code, 2, "{name}");
        run(&place, &format!("models remove {name}")).assert_refused(1, &["is not known"]);
    }
    assert!(!own(&place, "").exists());
    succeed(&place, "models add one.safetensors");
    run(&place, "models add one.safetensors --copy")
        .assert_refused(1, &["one.safetensors is there already"]);
    run(&place, "models remove two").assert_refused(
        1,
        &[
            "cannot remove a model from",
            "\"two\" is not known, expected one",
        ],
    );
    assert!(own(&place, "one.safetensors").is_symlink());
}

#[test]
fn nothing_but_the_model_that_is_named_is_removed() {
    let place = Place::with_source();
    let whole = pack(SingleFile::read("sd1").tensors, Dtype::F16);
    let lora = reference("lora_sd_kohya.safetensors");
    let put = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(own(&place, name).parent().unwrap()).unwrap();
        fs::write(own(&place, name), bytes).unwrap();
    };
    for name in ["anime/a", "anime/b", "other/b"] {
        put(&format!("{name}.safetensors"), &whole);
    }
    put("vae/soft.safetensors", &autoencoder());
    put("style.safetensors", &lora);
    assert_eq!(names(&place), ["a", "anime/b", "other/b"]);
    // Folders that are no model, a LoRA, several at once, other capitals, places outside.
    let elsewhere = [
        "anime",
        "vae",
        "soft",
        "style",
        "A",
        "../models",
        "../../a",
        ".",
    ];
    for name in elsewhere {
        run(&place, &format!("models remove {name}")).assert_refused(1, &["is not known"]);
    }
    run(&place, "models remove b").assert_refused(1, &["is ambiguous", "anime/b or other/b"]);
    let refused = run(&place, "models remove nothing").stderr;
    assert!(!refused.contains("hint"), "{refused}");
    for name in ["a", "anime/b"] {
        succeed(&place, &format!("models remove {name}"));
    }
    assert_eq!(names(&place), ["b"]);
    for name in ["other/b", "vae/soft", "style"] {
        assert!(
            own(&place, &format!("{name}.safetensors")).is_file(),
            "{name}"
        );
    }
    assert!(own(&place, "anime").is_dir());
}

#[cfg(unix)]
#[test]
fn what_links_lead_to_stays() {
    use std::os::unix::fs::symlink;
    let place = Place::with_source();
    let whole = pack(SingleFile::read("sd1").tensors, Dtype::F16);
    fs::create_dir_all(place.path("webui")).unwrap();
    place.put("webui/one.safetensors", &whole);
    place.put("two.safetensors", &whole);
    fs::create_dir_all(own(&place, "")).unwrap();
    symlink(place.path("webui"), own(&place, "webui")).unwrap();
    run(&place, "models remove one").assert_refused(1, &["which is a link"]);
    assert!(place.bytes("webui/one.safetensors") == whole);
    // A link whose model is gone.
    succeed(&place, "models add two.safetensors");
    fs::remove_file(place.path("two.safetensors")).unwrap();
    succeed(&place, "models remove two");
    assert!(!own(&place, "two.safetensors").is_symlink());
}

#[test]
fn what_can_be_pulled_is_listed_with_its_licence() {
    let place = Place::new();
    let words = succeed(&place, "models --available").stdout;
    for word in [
        "sd15 ",
        "sdxl-turbo",
        "not for commercial use",
        "stabilityai/sd-turbo",
        "MIT (free)",
    ] {
        assert!(words.contains(word), "no {word} in {words}");
    }
    let json = succeed(&place, "models --available --json").json();
    assert_eq!(json["models"].as_array().unwrap().len(), 11);
    run(&place, "pull nothing@")
        .assert_refused(1, &["is not listed (sd15, ", "expected OWNER/NAME"]);
    // Nobody is there; no name, and what to do.
    let mut command = alone(&place, &["pull", "sd15"]);
    let command = command
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env_remove("HF_TOKEN");
    let done = Done::of(&command.output().unwrap());
    done.assert_refused(1, &["cannot reach 127.0.0.1:9"]);
    assert!(done.stderr.contains("hint: ") && done.stderr.contains("HF_ENDPOINT"));
    assert!(names(&place).is_empty());
}

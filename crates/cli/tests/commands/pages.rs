//! Completions and manual pages.

use crate::place::Place;
use crate::{run, succeed};

const COMMANDS: [&str; 18] = [
    "transform",
    "generate",
    "ladder",
    "vary",
    "upscale",
    "inpaint",
    "mask",
    "advise",
    "replay",
    "verify",
    "models",
    "pull",
    "info",
    "serve",
    "keys",
    "config",
    "completions",
    "man",
];

#[test]
fn every_shell_gets_a_script_that_knows_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = succeed(&place, &format!("completions {shell}")).stdout;
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: no {command}");
        }
        assert!(script.contains("strength-rule"), "{shell}");
    }
    run(&place, "completions cmd").assert_refused(2, &["cmd"]);
}

#[test]
fn every_command_has_a_page() {
    let place = Place::new();
    let page = succeed(&place, "man").stdout;
    assert!(page.contains(".TH IMAGEGEN 1"), "{page}");
    assert!(page.contains("ladder"), "{page}");
    succeed(&place, "man -o pages");
    for command in COMMANDS {
        let file = place.bytes(&format!("pages/imagegen-{command}.1"));
        let page = succeed(&place, &format!("man {command}")).stdout;
        assert!(file == page.as_bytes(), "{command}");
        assert!(
            page.contains(&format!(".TH IMAGEGEN-{} 1", command.to_uppercase())),
            "{page}"
        );
    }
    assert_eq!(
        place.names().len(),
        2 + COMMANDS.len(),
        "the folder, the program and its commands"
    );
    run(&place, "man paint").assert_refused(2, &["\"paint\"", "expected one of", "ladder"]);
}

#[test]
fn help_says_what_each_command_does() {
    let place = Place::new();
    let help = succeed(&place, "--help").stdout;
    assert!(help.starts_with("Turns a picture into a new one"), "{help}");
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let own = succeed(&place, &format!("{command} --help")).stdout;
        assert!(own.contains(&format!("Usage: imagegen {command}")), "{own}");
    }
}

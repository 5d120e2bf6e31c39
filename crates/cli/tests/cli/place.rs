//! A folder of its own for every test, the binary run in it, and pictures made by formulas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::Value;
use tempfile::TempDir;

/// A working folder that is gone after the test.
pub(crate) struct Place {
    root: TempDir,
}

/// What one run of the binary left.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["work", "tmp", "home"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    /// A new place that holds `a.png`, 80x64 pixels: a size that the starter works at as it is.
    pub(crate) fn with_source() -> Self {
        let place = Self::new();
        place.save("a.png", &painted(80, 64, 30).into());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes `picture` in the format of the extension.
    pub(crate) fn save(&self, name: &str, picture: &DynamicImage) {
        picture.save(self.path(name)).unwrap();
    }

    /// Reads a picture in the format of its content.
    pub(crate) fn open(&self, name: &str) -> DynamicImage {
        image::load_from_memory(&self.bytes(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Everything in the working folder, sorted; a folder's name ends with `/`.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.path(""), "", &mut names);
        names.sort();
        names
    }

    /// The binary with `arguments`, about to run in the working folder, out of reach of settings
    /// that whoever runs the tests may have.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imagegen"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env("TMPDIR", self.root.path().join("tmp"))
            .env("HOME", self.root.path().join("home"))
            .env_remove("XDG_DATA_HOME");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("IMAGEGEN_") {
                command.env_remove(name);
            }
        }
        command.env("IMAGEGEN_CONFIG", ""); // no file
        command
    }

    /// Runs the binary and checks what holds for every run: it ends by itself, without a panic, and
    /// leaves no temporary file.
    pub(crate) fn run_with(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().unwrap();
        let done = Done::of(&output);
        self.assert_clean();
        done
    }

    /// [`Self::run_with`] the words of `line`, none of which holds a space.
    pub(crate) fn run(&self, line: &str) -> Done {
        self.run_with(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// [`Self::run`], which has to succeed.
    pub(crate) fn succeed(&self, line: &str) -> Done {
        let done = self.run(line);
        assert_eq!(done.code, 0, "{line}\n{}", done.stderr);
        done
    }

    /// Fails if there is a hidden file in the working folder or anything in the system's folder for
    /// temporary files.
    pub(crate) fn assert_clean(&self) {
        let names = self.names();
        let hidden = |name: &&String| name.split('/').any(|part| part.starts_with('.'));
        assert_eq!(names.iter().find(hidden), None);
        let mut temporary = Vec::new();
        list(&self.root.path().join("tmp"), "", &mut temporary);
        assert!(temporary.is_empty(), "{temporary:?}");
    }
}

fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            let name = name + "/";
            list(&entry.path(), &name, names);
            names.push(name);
        } else {
            names.push(name);
        }
    }
}

impl Done {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(!stderr.contains("panicked"), "{stderr}");
        let code = output.status.code();
        let code = code.unwrap_or_else(|| panic!("ended by {}: {stderr}", output.status));
        Self {
            code,
            stdout,
            stderr,
        }
    }

    /// The one document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// Files of the results, as the document names them.
    pub(crate) fn files(&self) -> Vec<String> {
        let json = self.json();
        let results = json["results"].as_array().unwrap();
        let file = |result: &Value| result["file"].as_str().unwrap().to_owned();
        results.iter().map(file).collect()
    }

    /// Lines of stderr that begin with `start`.
    pub(crate) fn lines(&self, start: &str) -> Vec<&str> {
        let lines = self.stderr.lines();
        lines.filter(|line| line.starts_with(start)).collect()
    }

    /// Fails unless the run ended with `code` and said one error, in which each of `words` occurs,
    /// and nothing on stdout.
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: i32, words: &[&str]) {
        let errors = self.lines("error: ");
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        for word in words {
            assert!(errors[0].contains(word), "no {word:?} in: {}", self.stderr);
        }
        assert_eq!(self.code, code, "{}", self.stderr);
        assert_eq!(self.stdout, "");
    }
}

/// A picture whose pixels depend on their place and on `tint`.
pub(crate) fn painted(width: u32, height: u32, tint: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([
            (x * 2) as u8,
            (y * 3) as u8,
            tint.wrapping_add((x ^ y) as u8),
        ])
    })
}

/// [`painted`] with alpha from 0 to 255.
pub(crate) fn painted_with_alpha(width: u32, height: u32) -> RgbaImage {
    let colours = painted(width, height, 30);
    RgbaImage::from_fn(width, height, |x, y| {
        let Rgb([r, g, b]) = *colours.get_pixel(x, y);
        Rgba([r, g, b, ((x * 9 + y * 5) % 256) as u8])
    })
}

/// Largest and mean distance of two pictures' values, alpha included. Fails where sizes differ.
#[track_caller]
pub(crate) fn distance(one: &DynamicImage, two: &DynamicImage) -> (u8, f64) {
    let (one, two) = (one.to_rgba8(), two.to_rgba8());
    assert_eq!(one.dimensions(), two.dimensions());
    let pairs = one.as_raw().iter().zip(two.as_raw());
    let distances: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: f64 = distances.iter().copied().map(f64::from).sum();
    let most = distances.iter().copied().max().unwrap();
    (most, sum / distances.len() as f64)
}

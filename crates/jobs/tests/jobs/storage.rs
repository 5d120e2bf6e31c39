//! Folders and files that are not as they should be.

use std::fs;
use std::path::Path;

use imagegen::{ModelFolders, ModelSource};
use imagegen_jobs::{Error, Jobs, Limits, Offered, State};

use crate::place::{ANNA, Place, cpu, files, open, order, over, short, source, transform, until};

#[test]
fn a_second_service_on_a_folder_is_refused_by_name() {
    let place = Place::new();
    let jobs = place.open();
    let error = open(&place.data(), Limits::default()).unwrap_err();
    assert!(
        matches!(&error, Error::InUse { folder, .. } if *folder == place.data()),
        "{error}"
    );
    let words = error.to_string();
    let process = std::process::id().to_string();
    assert!(
        words.contains("data is in use by another process") && words.contains(&process),
        "{words}"
    );
    drop(jobs);
    place.open();
}

#[test]
fn a_folder_that_cannot_be_is_refused_by_name() {
    let place = Place::new();
    let file = place.path().join("file");
    fs::write(&file, b"x").unwrap();
    for folder in [file.clone(), file.join("inside")] {
        let error = open(&folder, Limits::default()).unwrap_err();
        assert!(
            matches!(&error, Error::Folder { folder: got, .. } if *got == folder),
            "{error}"
        );
        assert!(
            error.to_string().starts_with("cannot use folder "),
            "{error}"
        );
    }
    let data = place.data();
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("pictures"), b"x").unwrap();
    let error = open(&data, Limits::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Folder { folder, .. } if folder.ends_with("pictures")),
        "{error}"
    );
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    fs::create_dir_all(place.data()).unwrap();
    let path = place.data().join("jobs.sqlite");
    let text = "not a database, but somebody's file ".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = open(&place.data(), Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_later_programs_database_is_refused_by_version() {
    let place = Place::new();
    drop(place.open());
    place
        .database()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = open(&place.data(), Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Newer { got: 99, .. }), "{error}");
}

#[test]
fn models_have_names_of_their_own() {
    let place = Place::new();
    let open = |models| Jobs::open(&place.data(), Limits::default(), cpu(), models);
    let error = open(vec![
        ModelSource::Starter.into(),
        ModelSource::Starter.into(),
    ])
    .unwrap_err();
    assert!(
        matches!(&error, Error::SameName { name } if name == "starter"),
        "{error}"
    );
    assert!(matches!(open(Vec::new()).unwrap_err(), Error::NoModel));
    let jobs = open(vec![ModelSource::Starter.into()]).unwrap();
    let models = jobs.models();
    assert!(models[0].is_default && models[0].info.name == "starter");
    jobs.model(None).unwrap();
    assert!(jobs.models()[0].loaded);
}

/// Puts a model that is the starter into a folder.
pub(crate) fn starter_at(folder: &Path) {
    for (name, bytes) in imagegen_starter::FILES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn models_that_come_into_folders_later_are_offered_and_those_that_go_are_not() {
    let place = Place::new();
    let root = place.path().join("models");
    let offered = Offered {
        named: vec![ModelSource::Starter.into()],
        folders: Some(ModelFolders::new(vec![root.clone()])),
    };
    let jobs = Jobs::open(&place.data(), Limits::default(), cpu(), offered).unwrap();
    let names = || {
        let models = jobs.models().into_iter();
        models.map(|model| model.name).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["starter"]);
    let mut asked = order("x", 1, transform(&source(&jobs, 1), 1));
    asked.model = Some("late".to_owned());
    let submit = || jobs.submit(ANNA, asked.clone(), None);
    assert!(matches!(submit(), Err(Error::UnknownModel { .. })));
    starter_at(&root.join("late"));
    // Asked for by name before anybody asked what there is.
    let job = submit().unwrap().job;
    assert_eq!(over(&jobs, &job.id).state, State::Done);
    assert_eq!(names(), ["starter", "late"]);
    let loaded = jobs.model(Some("late")).unwrap();
    starter_at(&root.join("another"));
    assert_eq!(names(), ["starter", "late", "another"]);
    assert!(
        std::sync::Arc::ptr_eq(&loaded, &jobs.model(Some("late")).unwrap()),
        "what did not change stays loaded"
    );
    fs::remove_dir_all(root.join("late")).unwrap();
    assert_eq!(names(), ["starter", "another"]);
    assert!(matches!(submit(), Err(Error::UnknownModel { .. })));
}

#[test]
fn models_that_were_found_are_loaded_when_they_are_asked_for() {
    let place = Place::new();
    let root = place.path().join("models");
    let folder = root.join("shelf/other");
    starter_at(&folder);
    // No model, and one without what every model has.
    fs::write(root.join("broken.safetensors"), "<html>").unwrap();
    fs::create_dir_all(root.join("hollow")).unwrap();
    fs::write(root.join("hollow/model_index.json"), "{}").unwrap();
    let offered = Offered {
        named: vec![ModelSource::Starter.into()],
        folders: Some(ModelFolders::new(vec![root])),
    };
    let jobs = Jobs::open(&place.data(), Limits::default(), cpu(), offered).unwrap();
    until(|| jobs.queue().unwrap().ready.then_some(()));
    let listed = || {
        let models = jobs.models().into_iter();
        models
            .map(|model| (model.name, model.loaded))
            .collect::<Vec<_>>()
    };
    let want = |other| vec![("starter".to_owned(), true), ("other".to_owned(), other)];
    assert_eq!(listed(), want(false));
    let mut asked = order("x", 1, transform(&source(&jobs, 1), 1));
    asked.model = Some("other".to_owned());
    let id = jobs.submit(ANNA, asked.clone(), None).unwrap().job.id;
    let done = over(&jobs, &id);
    assert_eq!(done.order.model.as_deref(), Some("other"));
    // A picture tells no folders.
    assert_eq!(done.results[0].recipe.model.name, "other");
    assert_eq!(listed(), want(true));
    // Names are all that can be asked for: no path, and no other model in its place.
    for name in [
        folder.to_str().unwrap(),
        "shelf/other",
        "../other",
        "broken",
    ] {
        asked.model = Some(name.to_owned());
        let error = jobs.submit(ANNA, asked.clone(), None).unwrap_err();
        assert!(
            matches!(&error, Error::UnknownModel { known, .. } if known == "starter or other"),
            "{error}"
        );
    }
}

#[test]
fn memory_is_kept_within_its_limit_and_no_model_stands_in_for_another() {
    let place = Place::new();
    let folder = place.path().join("other");
    starter_at(&folder);
    let limits = Limits {
        memory: 1,
        ..Limits::default()
    };
    let other = ModelSource::Folder(folder.clone());
    let models = || vec![ModelSource::Starter.into(), other.clone().into()];
    let jobs = Jobs::open(&place.data(), limits, cpu(), models()).unwrap();
    until(|| jobs.queue().unwrap().ready.then_some(()));
    let loaded = || {
        jobs.models()
            .iter()
            .map(|model| model.loaded)
            .collect::<Vec<_>>()
    };
    assert_eq!(loaded(), [true, false]);
    let mut other = order("x", 1, transform(&source(&jobs, 1), 1));
    other.model = Some("other".to_owned());
    let id = jobs.submit(ANNA, other.clone(), None).unwrap().job.id;
    let done = over(&jobs, &id);
    assert_eq!(done.results[0].recipe.model.name, "other");
    assert_eq!(loaded(), [false, true]);
    drop(jobs);
    // A job waits for a model that is no longer there.
    place
        .database()
        .execute("UPDATE jobs SET state = 'queued'", [])
        .unwrap();
    let jobs = place.open();
    let failed = over(&jobs, &id);
    let failure = failed.failure.unwrap();
    assert_eq!(
        (failed.state, failure.code.as_str()),
        (State::Failed, "unknown_model")
    );
    assert!(failure.message.contains("\"other\""), "{}", failure.message);
}

#[test]
fn a_picture_that_cannot_be_stored_fails_its_job_with_the_reason() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 1);
    let results = place.data().join("pictures/results");
    fs::write(&results, b"in the way").unwrap();
    let order = order("x", 1, transform(&source, 1));
    let id = jobs.submit(ANNA, order, None).unwrap().job.id;
    let failed = over(&jobs, &id);
    let failure = failed.failure.unwrap();
    assert_eq!(
        (failed.state, failure.code.as_str()),
        (State::Failed, "storage")
    );
    let words = format!("cannot store results/{id}/0.png: ");
    assert!(failure.message.starts_with(&words), "{}", failure.message);
    assert!(failed.results.is_empty());
    fs::remove_file(&results).unwrap();
    assert_eq!(over(&jobs, &short(&jobs, "y").id).state, State::Done);
}

#[test]
fn a_source_that_was_lost_or_changed_fails_its_job_and_can_be_put_again() {
    let place = Place::new();
    let jobs = place.open();
    let source = source(&jobs, 1);
    drop(jobs);
    let file = place.data().join("pictures/sources").join(&source.sha256);
    let whole = fs::read(&file).unwrap();
    for damaged in [None, Some(&whole[..whole.len() / 2])] {
        match damaged {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        let jobs = place.open();
        let order = order("x", 1, transform(&source, 1));
        let error = jobs.submit(ANNA, order, None).unwrap_err();
        assert!(matches!(error, Error::SourceDamaged { .. }), "{error}");
        let put = crate::place::source(&jobs, 1);
        assert_eq!(put.sha256, source.sha256);
        assert!(fs::read(&file).unwrap() == whole);
        assert_eq!(over(&jobs, &short(&jobs, "y").id).state, State::Done);
    }
}

#[test]
fn pictures_that_no_job_knows_are_swept_at_the_start() {
    let place = Place::new();
    let jobs = place.open();
    let id = over(&jobs, &short(&jobs, "x").id).id;
    drop(jobs);
    let kept = files(&place);
    let pictures = place.data().join("pictures");
    let stranger = uuid_like(&id.to_string());
    for name in [
        format!("results/{stranger}/0.png"),
        format!("results/{stranger}/sheet.png"),
        format!("results/{id}/1.png#3"),
        format!("sources/{}", "ab".repeat(32)),
    ] {
        let path = pictures.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
    assert_eq!(files(&place).len(), kept.len() + 4);
    let jobs = place.open();
    until(|| (files(&place) == kept).then_some(()));
    assert_eq!(jobs.job(&id).unwrap().unwrap().results.len(), 1);
}

/// Another name of the same form.
fn uuid_like(id: &str) -> String {
    let mut letters: Vec<char> = id.chars().collect();
    let last = letters.pop().unwrap();
    letters.push(if last == '0' { '1' } else { '0' });
    letters.into_iter().collect()
}

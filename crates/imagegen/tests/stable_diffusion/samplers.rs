//! Every sampler through a whole tiny model.

use super::*;
use imagegen::Sampler;

/// Root of the mean square, in grey levels, that a picture may be off by: far less than any two samplers are apart.
const NEAR: f64 = 0.05;

/// `tools/reference/pipeline_samplers.py` made the references: diffusers' pipeline with its own schedulers.
#[test]
fn every_sampler_gives_what_its_scheduler_gives_in_diffusers() {
    let facts: Value = serde_json::from_slice(&reference("pipeline_samplers.json")).unwrap();
    let bytes = reference("pipeline_samplers.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (_folder, source, _) = folder_of("sd");
    let model = Model::load(&source, cpu()).unwrap();
    let mut pictures = Vec::new();
    for run in facts["runs"].as_array().unwrap() {
        let name = run["name"].as_str().unwrap();
        let outcome = carry_out(&model, run, &mut Unwatched);
        let want = tensors.tensor(&format!("{name}.picture")).unwrap();
        let off = rms(outcome.picture.rgb(), want.data());
        println!("| {name} | {off:.4} |");
        assert!(off < NEAR, "{name} is {off} grey levels off");
        pictures.push((name, want.data().to_vec()));
    }
    // A sampler that ran as another one would be found. DDPM's steps are those of ancestral Euler.
    for (index, (name, picture)) in pictures.iter().enumerate() {
        for (other, theirs) in &pictures[..index] {
            if [*other, *name] == ["euler_a", "ddpm"] {
                continue;
            }
            let apart = rms(picture, theirs);
            assert!(apart > 5.0 * NEAR, "{name} and {other} are {apart} apart");
        }
    }
    // The others have no scheduler of their own in diffusers.
    let ran = |sampler: &Sampler| {
        let mut runs = facts["runs"].as_array().unwrap().iter();
        runs.any(|run| run["sampler"] == sampler.name())
    };
    let left: Vec<_> = Sampler::ALL
        .iter()
        .filter(|sampler| !ran(sampler))
        .collect();
    let left: Vec<_> = left.iter().map(|sampler| sampler.name()).collect();
    assert_eq!(left, ["dpmpp_2s_a", "dpmpp_sde"]);
}

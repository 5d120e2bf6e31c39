//! `scheduler_config.json`: the noise schedule a network was trained with.

use imagegen_pipeline::{
    BetaSchedule, PredictionType, Sampler, ScheduleConfig, SchedulerClass, Spacing, TimestepSpacing,
};
use serde_json::{Map, Value};

use crate::Error;

/// Settings of diffusers' schedulers that change the arithmetic and are not run, each with the value
/// that means "off".
const OFF: &[(&str, Value)] = &[
    ("thresholding", Value::Bool(false)),
    ("use_flow_sigmas", Value::Bool(false)),
];

/// Settings that lay noise levels out by sigma.
const SPACINGS: [(&str, Spacing); 3] = [
    ("use_karras_sigmas", Spacing::Karras),
    ("use_exponential_sigmas", Spacing::Exponential),
    ("use_beta_sigmas", Spacing::Beta),
];

/// The parsed file. Keys it leaves out take the defaults of the class that is asked for.
#[derive(Debug)]
pub(super) struct SchedulerFile {
    class: String,
    fields: Map<String, Value>,
    /// What the output means, whatever the file says.
    forced: Option<PredictionType>,
}

impl SchedulerFile {
    /// Reads a file; `forced` holds in place of its `prediction_type`.
    pub(super) fn read(json: &str, forced: Option<PredictionType>) -> Result<Self, Error> {
        let file = Self::parse(json)?;
        Ok(Self { forced, ..file })
    }

    fn parse(json: &str) -> Result<Self, Error> {
        let fields: Map<String, Value> = serde_json::from_str(json)
            .map_err(|error| Error::setting("scheduler_config.json", error, "a JSON object"))?;
        let class = fields
            .get("_class_name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let file = Self {
            class: class.to_owned(),
            fields,
            forced: None,
        };
        for (name, off) in OFF {
            if file
                .fields
                .get(*name)
                .is_some_and(|value| !value.is_null() && value != off)
            {
                return Err(file.wrong(name, off.to_string()));
            }
        }
        for (field, _) in SPACINGS {
            file.flag(field, &mut false)?;
        }
        file.config(file.sampler())?; // a bad file is found at loading, not at the first run
        Ok(file)
    }

    /// The sampler of the file's class; DDIM, which every discrete schedule has, for other classes.
    pub(super) fn sampler(&self) -> Sampler {
        self.own_sampler().unwrap_or(Sampler::Ddim { eta: 0.0 })
    }

    /// How the file wants noise levels laid out.
    pub(super) fn spacing(&self) -> Spacing {
        let on = |(field, _): &&(&str, Spacing)| self.get(field) == Some(&Value::Bool(true));
        SPACINGS.iter().find(on).map_or(Spacing::Model, |on| on.1)
    }

    /// The class the file names, where another sampler takes its place.
    pub(super) fn replaced(&self) -> Option<&str> {
        self.own_sampler().is_none().then_some(self.class.as_str())
    }

    /// The sampler that the file names, if it is offered: PNDM is without its Runge-Kutta steps alone.
    fn own_sampler(&self) -> Option<Sampler> {
        let class = self.class.parse::<SchedulerClass>().ok()?;
        let named = |field, name| self.get(field).and_then(Value::as_str) == Some(name);
        match class {
            SchedulerClass::Pndm if self.get("skip_prk_steps") != Some(&Value::Bool(true)) => None,
            SchedulerClass::DpmSolverMultistep if named("algorithm_type", "sde-dpmsolver++") => {
                Some(Sampler::DpmPP2MSde { eta: 1.0 })
            }
            class => Some(class.sampler()),
        }
    }

    /// The settings for a sampler.
    pub(super) fn config(&self, sampler: Sampler) -> Result<ScheduleConfig, Error> {
        let mut config = ScheduleConfig::defaults(sampler.scheduler_class());
        self.whole("num_train_timesteps", &mut config.num_train_timesteps)?;
        self.whole("steps_offset", &mut config.steps_offset)?;
        self.number("beta_start", &mut config.beta_start)?;
        self.number("beta_end", &mut config.beta_end)?;
        self.flag("rescale_betas_zero_snr", &mut config.rescale_betas_zero_snr)?;
        self.whole(
            "original_inference_steps",
            &mut config.original_inference_steps,
        )?;
        self.number("timestep_scaling", &mut config.timestep_scaling)?;
        if let Some(name) = self.name("beta_schedule")? {
            config.beta_schedule = match name {
                "linear" => BetaSchedule::Linear,
                "scaled_linear" => BetaSchedule::ScaledLinear,
                "squaredcos_cap_v2" => BetaSchedule::SquaredcosCapV2,
                _ => {
                    let expected = "linear, scaled_linear or squaredcos_cap_v2";
                    return Err(self.wrong("beta_schedule", expected));
                }
            };
        }
        if let Some(name) = self.name("prediction_type")? {
            let known = name.parse();
            config.prediction_type = known
                .map_err(|_| self.wrong("prediction_type", "epsilon, v_prediction or sample"))?;
        }
        if let Some(name) = self.name("timestep_spacing")? {
            config.timestep_spacing = match name {
                "leading" => TimestepSpacing::Leading,
                "linspace" => TimestepSpacing::Linspace,
                "trailing" => TimestepSpacing::Trailing,
                _ => return Err(self.wrong("timestep_spacing", "leading, linspace or trailing")),
            };
        }
        if let Some(betas) = self.get("trained_betas") {
            let betas = betas
                .as_array()
                .map(|list| list.iter().map(Value::as_f64).collect());
            let wrong = || self.wrong("trained_betas", "a list of numbers");
            config.trained_betas = Some(betas.flatten().ok_or_else(wrong)?);
        }
        if matches!(sampler, Sampler::Ddim { .. } | Sampler::Pndm) {
            self.flag("set_alpha_to_one", &mut config.set_alpha_to_one)?;
        }
        if sampler.clips() {
            let (mut clip, mut range) = (config.clip_sample.is_some(), 1.0);
            self.flag("clip_sample", &mut clip)?;
            self.number("clip_sample_range", &mut range)?;
            config.clip_sample = clip.then_some(range);
        }
        if let Some(forced) = self.forced {
            config.prediction_type = forced;
            // Where there is no signal, noise tells nothing of the picture.
            config.rescale_betas_zero_snr &= forced != PredictionType::Epsilon;
        }
        Ok(config)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, expected: impl Into<String>) -> Error {
        let got = self
            .fields
            .get(name)
            .map_or("absent".to_owned(), Value::to_string);
        Error::setting(
            format!("scheduler_config.json field \"{name}\""),
            got,
            expected,
        )
    }

    fn name(&self, field: &str) -> Result<Option<&str>, Error> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .map(Some)
                .ok_or_else(|| self.wrong(field, "a name")),
        }
    }

    fn whole(&self, field: &str, to: &mut usize) -> Result<(), Error> {
        if let Some(value) = self.get(field) {
            let value = value.as_u64().filter(|&value| value <= 1_000_000);
            *to = value.ok_or_else(|| self.wrong(field, "a whole number up to 1000000"))? as usize;
        }
        Ok(())
    }

    fn number(&self, field: &str, to: &mut f64) -> Result<(), Error> {
        if let Some(value) = self.get(field) {
            *to = value
                .as_f64()
                .ok_or_else(|| self.wrong(field, "a number"))?;
        }
        Ok(())
    }

    fn flag(&self, field: &str, to: &mut bool) -> Result<(), Error> {
        if let Some(value) = self.get(field) {
            *to = value
                .as_bool()
                .ok_or_else(|| self.wrong(field, "true or false"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SD1: &str = r#"{"_class_name": "PNDMScheduler", "beta_start": 0.00085,
        "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": false,
        "set_alpha_to_one": false, "steps_offset": 1, "skip_prk_steps": true}"#;

    #[test]
    fn absent_keys_take_the_defaults_of_the_class_asked_for() {
        let file = SchedulerFile::parse(SD1).unwrap();
        let ddim = file.config(Sampler::Ddim { eta: 0.0 }).unwrap();
        assert_eq!(ddim.timestep_spacing, TimestepSpacing::Leading);
        assert_eq!((ddim.clip_sample, ddim.set_alpha_to_one), (None, false));
        let euler = file.config(Sampler::Euler).unwrap();
        assert_eq!(euler.timestep_spacing, TimestepSpacing::Linspace);
        assert_eq!(euler.beta_schedule, BetaSchedule::ScaledLinear);
        assert!(euler.set_alpha_to_one);
    }

    #[test]
    fn a_class_without_a_sampler_is_replaced_and_said() {
        let file = SchedulerFile::parse(SD1).unwrap();
        assert_eq!(file.replaced(), None);
        assert_eq!(file.sampler().name(), "pndm");
        let file = SchedulerFile::parse(&SD1.replace("true", "false")).unwrap();
        assert_eq!(file.replaced(), Some("PNDMScheduler"));
        let sde = r#"{"_class_name": "DPMSolverMultistepScheduler",
            "algorithm_type": "sde-dpmsolver++"}"#;
        let file = SchedulerFile::parse(sde).unwrap();
        assert_eq!(file.sampler().name(), "dpmpp_2m_sde");
        assert_eq!(file.spacing(), Spacing::Model);
        let karras = SD1.replace(
            "\"clip_sample\"",
            "\"use_karras_sigmas\": true, \"clip_sample\"",
        );
        assert_eq!(
            SchedulerFile::parse(&karras).unwrap().spacing(),
            Spacing::Karras
        );
        let file = SchedulerFile::parse(&SD1.replace("PNDM", "SASolver")).unwrap();
        assert_eq!(file.replaced(), Some("SASolverScheduler"));
        assert_eq!(file.sampler().name(), "ddim");
    }

    #[test]
    fn what_is_not_run_is_named() {
        for (json, said) in [
            ("[]", "scheduler_config.json is"),
            (
                r#"{"use_karras_sigmas": 1}"#,
                "\"use_karras_sigmas\" is 1, expected true or false",
            ),
            (
                r#"{"use_flow_sigmas": true}"#,
                "\"use_flow_sigmas\" is true, expected false",
            ),
            (
                r#"{"beta_schedule": "sigmoid"}"#,
                "\"beta_schedule\" is \"sigmoid\"",
            ),
            (
                r#"{"beta_start": "x"}"#,
                "\"beta_start\" is \"x\", expected a number",
            ),
            (
                r#"{"prediction_type": 3}"#,
                "\"prediction_type\" is 3, expected a name",
            ),
        ] {
            let error = SchedulerFile::parse(json).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}

//! Compares two safetensors files tensor by tensor: `compare got.safetensors want.safetensors
//! [limit]`. The limit is a share of each tensor's root mean square, 1e-4 unless given. Exits 1 when
//! a tensor is missing, has another shape or is further off. See `docs/debugging-numbers.md`.

use std::process::ExitCode;

use imagegen_conformance::tolerance::index_of;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match compare(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Prints one line per tensor of the second file; true when all are close.
fn compare(arguments: &[String]) -> Result<bool, String> {
    let (got, want, limit) = match arguments {
        [got, want] => (got, want, 1e-4),
        [got, want, limit] => {
            let parsed = limit
                .parse::<f64>()
                .map_err(|error| format!("limit {limit}: {error}"))?;
            (got, want, parsed)
        }
        _ => return Err("usage: compare got.safetensors want.safetensors [limit]".to_owned()),
    };
    let read = |path: &String| std::fs::read(path).map_err(|error| format!("{path}: {error}"));
    let (got_bytes, want_bytes) = (read(got)?, read(want)?);
    let open =
        |bytes, path| SafeTensors::deserialize(bytes).map_err(|error| format!("{path}: {error}"));
    let (got, want) = (open(&got_bytes, got)?, open(&want_bytes, want)?);
    let mut names = want.names();
    names.sort_unstable();
    let mut all_close = true;
    for name in names {
        let want = want
            .tensor(name)
            .map_err(|error| format!("{name}: {error}"))?;
        let (close, line) = match got.tensor(name) {
            Ok(got) => one(&got, &want, limit)?,
            Err(_) => (false, "missing".to_owned()),
        };
        println!("{} {name}: {line}", if close { "close" } else { "OFF  " });
        all_close &= close;
    }
    Ok(all_close)
}

/// Whether two tensors are close, and by how much they are not.
fn one(got: &TensorView<'_>, want: &TensorView<'_>, limit: f64) -> Result<(bool, String), String> {
    if got.shape() != want.shape() {
        return Ok((
            false,
            format!("shape {:?}, expected {:?}", got.shape(), want.shape()),
        ));
    }
    let (got, shape, want) = (numbers(got)?, want.shape(), numbers(want)?);
    let mean_square =
        want.iter().map(|value| value * value).sum::<f64>() / want.len().max(1) as f64;
    let size = mean_square.sqrt();
    let off: Vec<f64> = got
        .iter()
        .zip(&want)
        .map(|(got, want)| (got - want).abs())
        .collect();
    let is_off = |off: &f64| off.is_nan() || *off > limit * size;
    let worst = off
        .iter()
        .fold(0.0_f64, |worst, &off| if off > worst { off } else { worst });
    let mut line = format!("{shape:?}, rms {size:.4e}, worst error {worst:.2e}");
    let Some(first) = off.iter().position(is_off) else {
        return Ok((true, line));
    };
    let count = off.iter().filter(|off| is_off(off)).count();
    let (index, got, want) = (index_of(shape, first), got[first], want[first]);
    line += &format!(
        ", {count} of {} off, first at {index:?}: got {got:e}, want {want:e}",
        off.len()
    );
    Ok((false, line))
}

fn numbers(tensor: &TensorView<'_>) -> Result<Vec<f64>, String> {
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => {
            let words = bytes.as_chunks::<4>().0.iter();
            Ok(words
                .map(|&word| f64::from(f32::from_le_bytes(word)))
                .collect())
        }
        Dtype::F64 => Ok(bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&w| f64::from_le_bytes(w))
            .collect()),
        other => Err(format!("numbers are {other:?}, expected F32 or F64")),
    }
}

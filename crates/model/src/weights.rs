//! Safetensors files: names to shapes and bytes. Bytes come from the caller (embedded, read or
//! memory-mapped); nothing is copied until a tensor is asked for.
//!
//! The header is untrusted: lengths, offsets, shapes and duplicate names are checked before anything
//! is read, and no more is allocated than the file is long.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
use imagegen_engine::{Saved, Tensor, Weight};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::Error;

/// A file's bytes, wherever they are.
pub type Bytes = Arc<dyn FileBytes>;

/// The bytes of a file.
pub trait FileBytes: AsRef<[u8]> + Send + Sync {
    /// Says that some of them were read and will hardly be again: where they take memory only while they are read, it may
    /// be given back.
    fn passed(&self, _: Range<usize>) {}
}

impl FileBytes for Vec<u8> {}
impl FileBytes for &'static [u8] {}
impl<const N: usize> FileBytes for &'static [u8; N] {}

/// The tensors that were read last. Those before them are passed, and these in the end.
#[derive(Default)]
struct LastRead(Mutex<VecDeque<(Bytes, Range<usize>)>>);

impl LastRead {
    /// More than a layer has: whoever reads one more has done with the first of them.
    const TENSORS: usize = 8;

    fn note(&self, bytes: &Bytes, range: Range<usize>) {
        let mut tensors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tensors.push_back((Arc::clone(bytes), range));
        if tensors.len() > Self::TENSORS
            && let Some((bytes, range)) = tensors.pop_front()
        {
            bytes.passed(range);
        }
    }
}

impl Drop for LastRead {
    fn drop(&mut self) {
        let tensors = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (bytes, range) in tensors.drain(..) {
            bytes.passed(range);
        }
    }
}

/// Longest header that is read, as in the reference implementation of the format.
const HEADER_MAX: u64 = 100_000_000;

/// Number formats a file can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    /// Of the given size in bytes; never a weight, so never read.
    Integer(usize),
}

impl Dtype {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "I64" | "U64" => Self::Integer(8),
            "I32" | "U32" => Self::Integer(4),
            "I16" | "U16" => Self::Integer(2),
            "I8" | "U8" | "BOOL" => Self::Integer(1),
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Integer(size) => size,
        }
    }
}

/// Where a tensor is in its file.
#[derive(Debug, Clone)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Which of the files.
    file: usize,
    /// From the start of the file.
    start: usize,
    end: usize,
    /// Whether the file holds the transpose of this matrix.
    transposed: bool,
}

/// What a tensor under a new name is of the one in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of it, as it is.
    Whole,
    /// The first, second or third third of its outermost axis.
    Third(usize),
    /// The transpose of a matrix.
    Transpose,
    /// A 1x1 convolution as a matrix.
    Matrix,
}

/// Named tensors of one safetensors file, or of several that belong together.
pub struct Weights {
    /// The name in errors.
    file: String,
    files: Vec<Bytes>,
    entries: BTreeMap<String, Entry>,
    /// Whether tensors have their shapes alone.
    outlined: bool,
    read: LastRead,
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({}, {} tensors)", self.file, self.entries.len())
    }
}

impl Weights {
    /// Reads the header of `bytes`; `file` is the name used in errors.
    ///
    /// Fails with [`Error::NotSafetensors`] when the bytes are something else (which is named where
    /// it can be told) and with [`Error::Damaged`] when the header contradicts itself or the file.
    pub fn parse(file: impl Into<String>, bytes: Bytes) -> Result<Self, Error> {
        let file = file.into();
        let entries = read_header(&file, (*bytes).as_ref())?;
        Ok(Self {
            file,
            files: vec![bytes],
            entries,
            outlined: false,
            read: LastRead::default(),
        })
    }

    /// The tensors of several files under one name, which is used in errors.
    ///
    /// Fails with [`Error::Damaged`] where two of them have a tensor of the same name.
    pub fn join(file: impl Into<String>, parts: Vec<Self>) -> Result<Self, Error> {
        let mut all = Self {
            file: file.into(),
            files: Vec::new(),
            entries: BTreeMap::new(),
            outlined: false,
            read: LastRead::default(),
        };
        for part in parts {
            let before = all.files.len();
            all.files.extend(part.files);
            for (name, entry) in part.entries {
                let twice = format!("tensor \"{name}\" is also in another file");
                let entry = Entry {
                    file: before + entry.file,
                    ..entry
                };
                if all.entries.insert(name, entry).is_some() {
                    return Err(Error::Damaged {
                        file: part.file,
                        problem: twice,
                    });
                }
            }
        }
        Ok(all)
    }

    /// These tensors under other names: `names` says for each which tensors it becomes, none for one
    /// that is left out. A cut that does not fit a tensor's shape leaves it as it is, so that
    /// whoever wants it names the shape.
    pub(crate) fn renamed(&self, names: impl Fn(&str) -> Vec<(String, Cut)>) -> Self {
        let entries = self.entries.iter().flat_map(|(name, entry)| {
            let cut = move |(name, cut)| (name, entry.cut(cut));
            names(name).into_iter().map(cut)
        });
        Self {
            file: self.file.clone(),
            files: self.files.clone(),
            entries: entries.collect(),
            outlined: self.outlined,
            read: LastRead::default(),
        }
    }

    /// The tensors whose names start with `prefix`, under the rest of their names.
    pub fn under(&self, prefix: &str) -> Self {
        let strip = |(name, entry): (&String, &Entry)| {
            Some((name.strip_prefix(prefix)?.to_owned(), entry.clone()))
        };
        Self {
            file: self.file.clone(),
            files: self.files.clone(),
            entries: self.entries.iter().filter_map(strip).collect(),
            outlined: self.outlined,
            read: LastRead::default(),
        }
    }

    /// From now on tensors are read, or have their shapes and zeros: enough to count what a network takes, and quick.
    pub fn set_outlined(&mut self, outlined: bool) {
        self.outlined = outlined;
    }

    /// The name the file was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// A text that whoever wrote the file put into its header. None of several files, and none where
    /// what is there is odd.
    pub fn note(&self, key: &str) -> Option<String> {
        let [bytes] = self.files.as_slice() else {
            return None;
        };
        let (&length, rest) = (**bytes).as_ref().split_first_chunk::<8>()?;
        let header = rest.get(..usize::try_from(u64::from_le_bytes(length)).ok()?)?;
        let notes: Notes = serde_json::from_slice(header).ok()?;
        notes.metadata.get(key)?.as_str().map(str::to_owned)
    }

    /// All tensor names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Number of numbers in all tensors.
    pub fn parameters(&self) -> usize {
        self.entries
            .values()
            .map(|entry| entry.shape.iter().product::<usize>())
            .sum()
    }

    /// Least bytes that an engine keeps of all tensors: 16 bits of each number where the first few of its tensor lose
    /// nothing by it.
    pub fn least_bytes(&self) -> u64 {
        const LOOKED_AT: usize = 32;
        let bytes = self.entries.values().map(|entry| {
            let count = entry.shape.iter().product::<usize>() as u64;
            let end = entry.end.min(entry.start + LOOKED_AT * entry.dtype.size());
            let first = &(*self.files[entry.file]).as_ref()[entry.start..end];
            let short = |numbers: Vec<f32>| {
                let halves = numbers.iter().all(|&v| f16::from_f32(v).to_f32() == v);
                halves || numbers.iter().all(|&v| bf16::from_f32(v).to_f32() == v)
            };
            let bytes = match entry.dtype {
                Dtype::F64 if !short(each(first, |b| f64::from_le_bytes(b) as f32)) => 4,
                Dtype::F32 if !short(each(first, f32::from_le_bytes)) => 4,
                _ => 2,
            };
            count * bytes
        });
        bytes.sum()
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// A tensor of one number, which may be a whole one.
    ///
    /// Fails with [`Error::Missing`], or [`Error::Shape`] where it has more or none.
    pub(crate) fn number(&self, name: &str) -> Result<f64, Error> {
        if let Some(entry) = self.entries.get(name)
            && matches!(entry.dtype, Dtype::Integer(_))
            && entry.shape.iter().product::<usize>() == 1
        {
            let bytes = &(*self.files[entry.file]).as_ref()[entry.start..entry.end];
            let last = bytes.last().map_or(0, |&byte| (byte as i8 >> 7) as u8);
            let mut wide = [last; 8]; // the sign
            wide[..bytes.len()].copy_from_slice(bytes);
            return Ok(i64::from_le_bytes(wide) as f64);
        }
        let tensor = self.tensor(name)?;
        match tensor.data() {
            &[number] => Ok(f64::from(number)),
            _ => Err(Error::Shape {
                tensor: name.to_owned(),
                got: tensor.shape().to_vec(),
                expected: vec![1],
            }),
        }
    }

    /// A tensor as f32.
    ///
    /// Fails with [`Error::Missing`], or [`Error::Unsupported`] when it holds integers.
    pub fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        Ok(self.weight(name)?.into_tensor())
    }

    /// A tensor as the file has it; only F64 and transposes are copied.
    ///
    /// Fails as [`Weights::tensor`].
    pub(crate) fn weight(&self, name: &str) -> Result<Weight<'_>, Error> {
        let entry = self.entries.get(name).ok_or_else(|| Error::Missing {
            file: self.file.clone(),
            count: 1,
            tensor: name.to_owned(),
        })?;
        if self.outlined && !matches!(entry.dtype, Dtype::Integer(_)) {
            let mut outline = Tensor::zeros(entry.shape.clone());
            // One that 16 bits do not hold: nobody need look at all the zeros to see whether they do.
            if let Some(first) = outline.data_mut().first_mut() {
                *first = 0.1;
            }
            return Ok(outline.into());
        }
        let file = &self.files[entry.file];
        self.read.note(file, entry.start..entry.end);
        let bytes = &(**file).as_ref()[entry.start..entry.end];
        let saved = match entry.dtype {
            Dtype::F64 => Saved::Tensor(each(bytes, |b| f64::from_le_bytes(b) as f32)),
            Dtype::F32 => Saved::F32(bytes.as_chunks().0),
            Dtype::F16 => Saved::F16(bytes.as_chunks().0),
            Dtype::Bf16 => Saved::Bf16(bytes.as_chunks().0),
            Dtype::Integer(_) => {
                return Err(Error::Unsupported {
                    subject: format!("tensor \"{name}\""),
                    got: "of integers".to_owned(),
                    expected: "F16, BF16, F32 or F64".to_owned(),
                });
            }
        };
        let weight = Weight::new(entry.shape.clone(), saved)?;
        match (entry.transposed, entry.shape.as_slice()) {
            (true, &[rows, columns]) => {
                let numbers = transposed(weight.into_tensor().data(), rows, columns);
                Ok(Tensor::new([rows, columns], numbers)?.into())
            }
            _ => Ok(weight),
        }
    }
}

impl Entry {
    fn cut(&self, cut: Cut) -> Self {
        let mut entry = self.clone();
        match (cut, self.shape.as_slice()) {
            (Cut::Third(which), &[rows, ..]) if rows % 3 == 0 => {
                let bytes = (self.end - self.start) / 3;
                entry.shape[0] = rows / 3;
                entry.start = self.start + which * bytes;
                entry.end = entry.start + bytes;
            }
            (Cut::Transpose, &[rows, columns]) => {
                entry.shape = vec![columns, rows];
                entry.transposed = !self.transposed;
            }
            (Cut::Matrix, &[outputs, inputs, 1, 1]) => entry.shape = vec![outputs, inputs],
            _ => {}
        }
        entry
    }
}

/// A matrix `[rows, columns]` from its transpose.
fn transposed(numbers: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut matrix = Vec::with_capacity(numbers.len());
    for row in 0..rows {
        matrix.extend((0..columns).map(|column| numbers[column * rows + row]));
    }
    matrix
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|chunk| number(*chunk))
        .collect()
}

/// Parses and checks the header of a whole file.
fn read_header(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Entry>, Error> {
    let foreign = |got: String| Error::NotSafetensors {
        file: file.to_owned(),
        got,
    };
    // The eight bytes of a length may look like the start of anything.
    if !claims_a_header(bytes)
        && let Some(got) = recognise(bytes)
    {
        return Err(foreign(got));
    }
    let Some((&length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(foreign(format!("{} bytes long", bytes.len())));
    };
    let length = u64::from_le_bytes(length);
    if length > HEADER_MAX || length > rest.len() as u64 {
        return Err(foreign(format!(
            "{} bytes of something else or cut off (its first eight bytes claim a header of \
             {length} bytes)",
            bytes.len()
        )));
    }
    let damaged = |problem: String| Error::Damaged {
        file: file.to_owned(),
        problem,
    };
    let none = || damaged("it holds no tensors".to_owned());
    if length == 0 {
        return Err(none());
    }
    let (header, data) = rest.split_at(length as usize);
    let header: Header = serde_json::from_slice(header)
        .map_err(|error| damaged(format!("its header is not valid: {error}")))?;
    if header.0.is_empty() {
        return Err(none());
    }
    check(header.0, 8 + length as usize, data.len()).map_err(damaged)
}

/// Checks every entry against the size of the data and against the others.
fn check(
    raw: Vec<(String, RawEntry)>,
    offset: usize,
    size: usize,
) -> Result<BTreeMap<String, Entry>, String> {
    let mut entries = BTreeMap::new();
    for (name, raw) in raw {
        let dtype = Dtype::parse(&raw.dtype)
            .ok_or_else(|| format!("tensor \"{name}\" has the unknown type {}", raw.dtype))?;
        let [start, end] = raw.data_offsets;
        let bytes = raw
            .shape
            .iter()
            .try_fold(dtype.size(), |bytes, &side| bytes.checked_mul(side))
            .ok_or_else(|| format!("tensor \"{name}\" has the impossible shape {:?}", raw.shape))?;
        if start > end || end > size {
            return Err(format!(
                "tensor \"{name}\" ends at byte {end} of {size} bytes of data: the file is cut off"
            ));
        }
        if end - start != bytes {
            return Err(format!(
                "tensor \"{name}\" of shape {:?} takes {bytes} bytes, its place has {}",
                raw.shape,
                end - start
            ));
        }
        let entry = Entry {
            dtype,
            shape: raw.shape,
            file: 0,
            start: offset + start,
            end: offset + end,
            transposed: false,
        };
        if entries.insert(name.clone(), entry).is_some() {
            return Err(format!("tensor \"{name}\" is listed twice"));
        }
    }
    let mut places: Vec<_> = entries
        .iter()
        .map(|(name, e)| (e.start, e.end, name))
        .collect();
    places.sort_unstable();
    for pair in places.windows(2) {
        if pair[0].1 > pair[1].0 {
            return Err(format!(
                "tensors \"{}\" and \"{}\" overlap",
                pair[0].2, pair[1].2
            ));
        }
    }
    Ok(entries)
}

#[derive(serde::Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// All entries in file order, duplicates kept, `__metadata__` passed over whatever it holds.
struct Header(Vec<(String, RawEntry)>);

/// What a header says beside tensors.
#[derive(serde::Deserialize)]
struct Notes {
    #[serde(rename = "__metadata__")]
    metadata: serde_json::Map<String, serde_json::Value>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensor names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Whether a length that fits the file and an opening brace stand where safetensors has them.
fn claims_a_header(bytes: &[u8]) -> bool {
    bytes
        .split_first_chunk::<8>()
        .is_some_and(|(&length, rest)| {
            let length = u64::from_le_bytes(length);
            length <= HEADER_MAX && length <= rest.len() as u64 && rest.starts_with(b"{")
        })
}

/// Names what people have in place of a model: failed downloads and other formats.
fn recognise(bytes: &[u8]) -> Option<String> {
    let start = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(start);
    let lower = text.trim_start().to_ascii_lowercase();
    if bytes.is_empty() {
        Some("empty (0 bytes)".to_owned())
    } else if text.starts_with("version https://git-lfs") {
        Some(
            "a Git LFS pointer, not the file it points to (fetch it with `git lfs pull`)"
                .to_owned(),
        )
    } else if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        Some("a web page (HTML): the download gave a sign-in or error page".to_owned())
    } else if lower.starts_with('{') || lower.starts_with('[') {
        Some(format!(
            "JSON text: {}",
            text.chars().take(120).collect::<String>().trim()
        ))
    } else if bytes.starts_with(b"PK\x03\x04") || is_pickle(bytes) || is_pickle(bytes.get(8..)?) {
        Some(
            "a Python pickle (.ckpt, .pt), which can run code and is never opened; convert it with \
             safetensors' own converter"
                .to_owned(),
        )
    } else {
        None
    }
}

/// Protocol 2 to 5 of pickle.
fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of a header and `data` zero bytes.
    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    }

    fn problem(bytes: Vec<u8>) -> String {
        Weights::parse("model.safetensors", Arc::new(bytes))
            .unwrap_err()
            .to_string()
    }

    const GOOD: &str =
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"n":1,"m":[2]}}"#;

    #[test]
    fn a_length_that_looks_like_another_format_is_a_length() {
        // As bytes: an opening brace, and the start of a pickle.
        for length in [u64::from(b'{'), 0x0280] {
            let header = format!("{GOOD:length$}", length = length as usize);
            let weights = Weights::parse("model.safetensors", Arc::new(file(&header, 8)));
            assert!(weights.is_ok(), "a header of {length} bytes");
        }
    }

    #[test]
    fn numbers_of_every_type_are_read() {
        let header = r#"{"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},
            "f":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},
            "h":{"dtype":"F16","shape":[1],"data_offsets":[12,14]},
            "b":{"dtype":"BF16","shape":[1,1],"data_offsets":[14,16]}}"#;
        let mut bytes = file(header, 0);
        bytes.extend(1.5f64.to_le_bytes());
        bytes.extend(1.5f32.to_le_bytes());
        bytes.extend(f16::from_f32(1.5).to_le_bytes());
        bytes.extend(bf16::from_f32(1.5).to_le_bytes());
        let weights = Weights::parse("x", Arc::new(bytes)).unwrap();
        for name in ["d", "f", "h", "b"] {
            assert_eq!(weights.tensor(name).unwrap().data(), [1.5], "{name}");
        }
        assert_eq!(weights.shape("b"), Some([1, 1].as_slice()));
        let missing = weights.tensor("q").unwrap_err().to_string();
        assert_eq!(missing, "x lacks tensor \"q\"");
    }

    /// A file that writes down what is passed of it.
    struct Watched(Vec<u8>, Mutex<Vec<Range<usize>>>);

    impl AsRef<[u8]> for Watched {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl FileBytes for Watched {
        fn passed(&self, range: Range<usize>) {
            self.1.lock().unwrap().push(range);
        }
    }

    #[test]
    fn tensors_are_passed_when_others_were_read_after_them() {
        let count = LastRead::TENSORS + 2;
        let tensor = |i: usize| {
            let (start, end) = (4 * i, 4 * i + 4);
            format!(r#""{i:02}":{{"dtype":"F32","shape":[1],"data_offsets":[{start},{end}]}}"#)
        };
        let header = format!(
            "{{{}}}",
            (0..count).map(tensor).collect::<Vec<_>>().join(",")
        );
        let watched = Arc::new(Watched(file(&header, 4 * count), Mutex::default()));
        let passed = || watched.1.lock().unwrap().clone();
        let first = watched.0.len() - 4 * count;
        let places: Vec<_> = (0..count)
            .map(|i| first + 4 * i..first + 4 * i + 4)
            .collect();
        let weights = Weights::parse("x", watched.clone()).unwrap();
        let names: Vec<_> = weights.names().map(str::to_owned).collect();
        for name in &names {
            weights.tensor(name).unwrap();
        }
        assert_eq!(passed(), places[..2]);
        drop(weights);
        assert_eq!(passed(), places);
    }

    #[test]
    fn odd_metadata_is_no_fault() {
        let weights = Weights::parse("x", Arc::new(file(GOOD, 8))).unwrap();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn contradictions_are_named() {
        assert!(problem(file(GOOD, 7)).contains("cut off"));
        let twice = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
        assert!(problem(file(twice, 8)).contains("\"a\" is listed twice"));
        let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
        assert!(problem(file(overlap, 8)).contains("\"a\" and \"b\" overlap"));
        let size = r#"{"a":{"dtype":"F16","shape":[3],"data_offsets":[0,8]}}"#;
        assert!(problem(file(size, 8)).contains("takes 6 bytes, its place has 8"));
        let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
        assert!(problem(file(huge, 8)).contains("impossible shape"));
        let dtype = r#"{"a":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(problem(file(dtype, 8)).contains("unknown type Q4"));
        assert!(problem(file("{}", 0)).contains("holds no tensors"));
        assert!(problem(file("{\"a\":3}", 0)).contains("header is not valid"));
        assert!(problem(vec![255; 20]).contains("claim a header of 18446744073709551615 bytes"));
    }

    #[test]
    fn other_files_are_recognised() {
        assert!(problem(vec![]).contains("empty (0 bytes)"));
        assert!(problem(vec![1, 2, 3]).contains("3 bytes long"));
        assert!(problem(vec![0; 8]).contains("holds no tensors"));
        assert!(problem(b"version https://git-lfs.github.com/spec/v1\n".to_vec()).contains("LFS"));
        assert!(problem(b"\n<!DOCTYPE html><html>".to_vec()).contains("web page"));
        assert!(problem(br#"{"error":"Access denied"}"#.to_vec()).contains("Access denied"));
        assert!(problem(b"\x80\x02}q\x00X".to_vec()).contains("pickle"));
        assert!(problem(b"PK\x03\x04rest".to_vec()).contains("pickle"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Weights::parse("x", Arc::new(bytes.clone()));
            let header = String::from_utf8_lossy(&bytes).into_owned();
            let _ = Weights::parse("x", Arc::new(file(&header, 4)));
        }

        #[test]
        fn damaged_headers_do_not_panic(at in 8usize..90, byte: u8) {
            let mut bytes = file(GOOD, 8);
            bytes[at] = byte;
            if let Ok(weights) = Weights::parse("x", Arc::new(bytes)) {
                let names: Vec<_> = weights.names().map(str::to_owned).collect();
                names.iter().for_each(|name| drop(weights.tensor(name)));
            }
        }
    }
}

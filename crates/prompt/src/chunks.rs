//! Long prompts in pieces that a text encoder takes: AUTOMATIC1111's chunks.

/// How far back, in tokens, a comma ends a full chunk in place of its last token.
pub const COMMA_REACH: usize = 20;

/// What is put into chunks, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Unit<T> {
    /// One token.
    Token {
        /// The token.
        token: T,
        /// Weight of its hidden state.
        weight: f64,
        /// Whether it is a comma.
        comma: bool,
    },
    /// Tokens that stay together.
    Whole {
        /// The tokens; no more than a chunk takes.
        tokens: Vec<T>,
        /// Weight of their hidden states.
        weight: f64,
    },
    /// The chunk ends here.
    Break,
}

/// Tokens of one window, ends and padding left away.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk<T> {
    /// The tokens, each with its weight.
    pub tokens: Vec<(T, f64)>,
}

/// All chunks of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunks<T> {
    /// The chunks, at least one.
    pub chunks: Vec<Chunk<T>>,
    /// Tokens that lie behind the last chunk that is taken.
    pub dropped: usize,
}

/// Cuts units into chunks of at most `length` tokens, and drops what lies behind the first `most`.
///
/// A full chunk ends behind its last comma where that lies within [`COMMA_REACH`] tokens; what follows the comma
/// begins the next chunk. `Break` ends a chunk whatever it holds. What is said of commas holds for
/// those met in the chunk, not for those moved into it.
pub fn chunks<T: Clone>(
    units: impl IntoIterator<Item = Unit<T>>,
    length: usize,
    most: usize,
) -> Chunks<T> {
    let mut cutter = Cutter {
        length,
        done: Vec::new(),
        units: Vec::new(),
        tokens: 0,
        comma: None,
    };
    for unit in units {
        match unit {
            Unit::Break => cutter.end(),
            Unit::Token {
                token,
                weight,
                comma,
            } => cutter.push(vec![token], weight, comma),
            Unit::Whole { tokens, weight } => cutter.push(tokens, weight, false),
        }
    }
    if cutter.tokens > 0 || cutter.done.is_empty() {
        cutter.end();
    }
    let mut chunks = cutter.done;
    let behind = chunks.split_off(most.min(chunks.len()));
    Chunks {
        dropped: behind.iter().map(|chunk| chunk.tokens.len()).sum(),
        chunks,
    }
}

struct Cutter<T> {
    length: usize,
    done: Vec<Chunk<T>>,
    /// What stays together, with its weight.
    units: Vec<(Vec<T>, f64)>,
    tokens: usize,
    /// Units, and tokens, up to the last comma and with it.
    comma: Option<[usize; 2]>,
}

impl<T: Clone> Cutter<T> {
    fn push(&mut self, tokens: Vec<T>, weight: f64, comma: bool) {
        if !comma && self.tokens == self.length {
            self.go_back();
        }
        if self.tokens + tokens.len() > self.length {
            self.end();
        }
        self.tokens += tokens.len();
        self.units.push((tokens, weight));
        if comma {
            self.comma = Some([self.units.len(), self.tokens]);
        }
    }

    /// Ends a full chunk behind its last comma, where that is near.
    fn go_back(&mut self) {
        if let Some([units, tokens]) = self.comma
            && self.tokens - tokens < COMMA_REACH
        {
            let moved = self.units.split_off(units);
            self.end();
            self.tokens = moved.iter().map(|(tokens, _)| tokens.len()).sum();
            self.units = moved;
        }
    }

    fn end(&mut self) {
        let units = self.units.drain(..);
        let weighed =
            |(tokens, weight): (Vec<T>, f64)| tokens.into_iter().map(move |token| (token, weight));
        self.done.push(Chunk {
            tokens: units.flat_map(weighed).collect(),
        });
        self.tokens = 0;
        self.comma = None;
    }
}

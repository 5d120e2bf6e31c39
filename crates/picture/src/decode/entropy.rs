//! Counts the blocks that a sequential JPEG's scans really hold. The decoder fills what is missing with
//! grey and says nothing where an end mark stands behind the cut, so the codes are walked once before it.

use crate::container::jpeg::{START_OF_SCAN, walk};

const TABLES: u8 = 0xC4;
const RESTART_INTERVAL: u8 = 0xDD;

/// A component of the frame.
#[derive(Clone, Copy)]
struct Component {
    id: u8,
    across: usize,
    down: usize,
}

/// The state of the walk: what the segments so far have set.
struct Walk<'a> {
    bytes: &'a [u8],
    width: usize,
    height: usize,
    components: Vec<Component>,
    /// Places 0 to 3 are for DC, 4 to 7 for AC.
    tables: [Option<Codes>; 8],
    restart: usize,
    expected: usize,
    present: usize,
}

/// Share of the blocks that is missing from a sequential JPEG, where some are. `bytes` end with the
/// picture; `frame` is its frame header.
pub(super) fn missing_share(bytes: &[u8], frame: &[u8]) -> Option<f32> {
    let &[_, h1, h0, w1, w0, _, ref rest @ ..] = frame else {
        return None;
    };
    let components = rest.chunks_exact(3).map(|component| Component {
        id: component[0],
        across: usize::from(component[1] >> 4),
        down: usize::from(component[1] & 15),
    });
    let components: Vec<_> = components.collect();
    if components
        .iter()
        .any(|c| !(1..=4).contains(&c.across) || !(1..=4).contains(&c.down))
    {
        return None; // the decoder refuses it
    }
    let mut state = Walk {
        bytes,
        width: u16::from_be_bytes([w1, w0]).into(),
        height: u16::from_be_bytes([h1, h0]).into(),
        components,
        tables: [const { None }; 8],
        restart: 0,
        expected: 0,
        present: 0,
    };
    walk(bytes, |marker, payload, end| {
        match marker {
            TABLES => state.read_tables(payload),
            RESTART_INTERVAL => {
                let interval = payload.first_chunk::<2>().copied().unwrap_or_default();
                state.restart = u16::from_be_bytes(interval).into();
            }
            START_OF_SCAN => state.scan(payload, end),
            _ => {}
        }
        true
    });
    let missing = state.expected - state.present;
    (missing > 0).then(|| missing as f32 / state.expected as f32)
}

impl Walk<'_> {
    fn read_tables(&mut self, mut payload: &[u8]) {
        while let Some((&[kind, ref counts @ ..], rest)) = payload.split_first_chunk::<17>() {
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let Some((symbols, rest)) = rest.split_at_checked(total) else {
                return;
            };
            let place = usize::from(kind >> 4 & 1) * 4 + usize::from(kind & 3);
            self.tables[place] = Some(Codes::new(counts, symbols));
            payload = rest;
        }
    }

    /// Walks the scan whose header is `payload` and whose data starts at `start`.
    fn scan(&mut self, payload: &[u8], start: usize) {
        let Some((&count, rest)) = payload.split_first() else {
            return;
        };
        // Component, DC table, AC table, blocks in a unit.
        let mut parts = Vec::new();
        for pair in rest.chunks_exact(2).take(count.into()) {
            let Some(component) = self.components.iter().find(|c| c.id == pair[0]) else {
                return;
            };
            let (dc, ac) = (usize::from(pair[1] >> 4 & 3), usize::from(pair[1] & 3));
            parts.push((*component, dc, 4 + ac));
        }
        let most = |side: fn(&Component) -> usize| self.components.iter().map(side).max();
        let (Some(most_across), Some(most_down)) = (most(|c| c.across), most(|c| c.down)) else {
            return;
        };
        // A scan of one component holds its blocks alone; others hold units of several.
        let alone = parts.len() == 1;
        let units = match parts.first() {
            Some((only, ..)) if alone => {
                (self.width * only.across).div_ceil(8 * most_across)
                    * (self.height * only.down).div_ceil(8 * most_down)
            }
            _ => self.width.div_ceil(8 * most_across) * self.height.div_ceil(8 * most_down),
        };
        let blocks = |c: &Component| if alone { 1 } else { c.across * c.down };
        let per_unit: usize = parts.iter().map(|(component, ..)| blocks(component)).sum();
        self.expected += units * per_unit;

        let mut bits = Bits {
            bytes: self.bytes,
            at: start,
            held: 0,
            count: 0,
        };
        for unit in 0..units {
            if self.restart > 0 && unit > 0 && unit % self.restart == 0 && !bits.restart() {
                return;
            }
            for (component, dc, ac) in &parts {
                let tables = (self.tables[*dc].as_ref(), self.tables[*ac].as_ref());
                let (Some(dc), Some(ac)) = tables else { return };
                for _ in 0..blocks(component) {
                    if bits.skip_block(dc, ac).is_none() {
                        return;
                    }
                    self.present += 1;
                }
            }
        }
    }
}

/// A Huffman table: for the next 16 bits the symbol and the length of its code, 0 for none.
struct Codes(Vec<(u8, u8)>);

impl Codes {
    fn new(counts: &[u8], symbols: &[u8]) -> Self {
        let mut table = Vec::with_capacity(1 << 16);
        let mut symbols = symbols.iter();
        for (length, &count) in (1u8..).zip(counts) {
            for &symbol in symbols.by_ref().take(count.into()) {
                let end = (table.len() + (1 << (16 - length))).min(1 << 16);
                table.resize(end, (symbol, length));
            }
        }
        table.resize(1 << 16, (0, 0));
        Self(table)
    }
}

/// Bits of a scan's data, without stuffed zeros, up to a marker.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else {
                return;
            };
            if byte == 0xFF {
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return; // a marker
                }
                self.at += 1;
            }
            self.at += 1;
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        self.count = self.count.checked_sub(bits)?;
        Some(())
    }

    /// The symbol that comes next; `None` where the bits run out or are no code.
    fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        if self.count < 16 {
            self.fill();
        }
        // Behind the last bit come zeros; `skip` notices when a code needs them.
        let next = if self.count >= 16 {
            self.held >> (self.count - 16)
        } else {
            self.held << (16 - self.count)
        };
        let (symbol, length) = codes.0[next as usize & 0xFFFF];
        if length == 0 {
            return None;
        }
        self.skip(length.into())?;
        Some(symbol)
    }

    /// Passes over a value of `bits` bits.
    fn value(&mut self, bits: u8) -> Option<()> {
        if self.count < u32::from(bits) {
            self.fill();
        }
        self.skip(bits.into())
    }

    fn skip_block(&mut self, dc: &Codes, ac: &Codes) -> Option<()> {
        let size = self.symbol(dc)?;
        self.value(size & 15)?;
        let mut k = 1;
        while k < 64 {
            let symbol = self.symbol(ac)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            match (run, size) {
                (15, 0) => k += 16,
                (_, 0) => break, // end of block
                _ => {
                    self.value(size)?;
                    k += 1 + run;
                }
            }
        }
        Some(())
    }

    /// Goes on behind the next restart marker; false where another marker or the end comes first.
    fn restart(&mut self) -> bool {
        self.count = 0;
        let next = self.bytes.get(self.at..).unwrap_or_default();
        let fill = next.iter().take_while(|&&byte| byte == 0xFF).count();
        let found = fill > 0
            && next
                .get(fill)
                .is_some_and(|byte| (0xD0..=0xD7).contains(byte));
        self.at += fill + 1;
        found
    }
}

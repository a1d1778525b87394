//! Changes an input a little: the ordinary test's own small fuzzer. It knows nothing of coverage, and gives the same
//! inputs for the same number on every machine.

/// Pieces that parsers tend to stumble over.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"-",
    b"-0",
    b"1e999",
    b"9007199254740993",
    b"0.1",
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b".",
    b"..",
    b"*",
    b"/",
    b"~",
    b"$",
    b"$.",
    b"@",
    b"?",
    b"(",
    b")",
    b"|",
    b"&&",
    b"%",
    b"%00",
    b"%e2%82",
    b"=",
    b"+",
    b"v1,",
    b"whsec_",
    b"tidings.",
    b"$system",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\xef\xbb\xbf",
    b"&a",
    b"*a",
    b"<<: *a",
    b"!!int",
    b"|-",
    b"#",
    b"---",
    b"'",
    b"2026-02-29T24:00:60Z",
    b"\"type\":",
    b"\"data\":{}",
    b"\"id\":\"x\",",
];

/// A generator of numbers (xorshift64*).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// Begins with a number; zero would stay zero.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number below a bound, which must not be zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

/// One to six changes: a bit, a byte, a piece put in, a part taken out, doubled or taken from another seed.
#[must_use]
pub fn changed(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(input.len() + 1);
        let end = (at + 1 + numbers.below(12)).min(input.len());
        match numbers.below(7) {
            0 | 1 => {
                let piece = PIECES.get(numbers.below(PIECES.len())).copied().unwrap_or_default();
                input.splice(at..at, piece.iter().copied());
            }
            2 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            3 if at < input.len() => input[at] = numbers.below(256) as u8,
            4 if at < end => drop(input.drain(at..end)),
            5 if at < end => {
                let part = input[at..end].to_vec();
                for _ in 0..=numbers.below(3) {
                    input.splice(at..at, part.iter().copied());
                }
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(40)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    input
}

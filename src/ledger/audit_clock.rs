//! Clocks: order in the log is by index only, and times are what the clocks of the writers said. Where one went back, whoever
//! reads times must know.

use crate::units::{BlockNumber, LogIndex, UnixMillis};

use super::block::Header;

/// How far clocks of different replicas may differ before it is told.
const TOLERANCE: u64 = 60_000;

/// A block that says that it is older than one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// Which block.
    pub block: BlockNumber,
    /// Its first entry.
    pub entry: LogIndex,
    /// Who wrote it.
    pub writer: String,
    /// How far its clock was behind the newest time before it, in milliseconds.
    pub behind: u64,
}

/// Looks at the times of blocks in their order.
#[derive(Clone, Debug, Default)]
pub struct ClockWatch {
    newest: UnixMillis,
    steps: Vec<ClockStep>,
}

impl ClockWatch {
    /// Takes the next block in.
    pub fn saw(&mut self, header: &Header) {
        let Header { number, first, writer, from, to, .. } = header;
        let behind = self.newest.0.saturating_sub(from.0.min(to.0));
        if behind > TOLERANCE {
            let (block, entry, writer) = (*number, *first, writer.clone());
            self.steps.push(ClockStep { block, entry, writer, behind });
            // From here on it is compared with the clock that runs now: else every block after a jump forth would be one.
            self.newest = *to;
        }
        self.newest = self.newest.max(*to);
    }

    /// Where a clock went back.
    #[must_use]
    pub fn steps(&self) -> &[ClockStep] {
        &self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Digest;

    fn header(number: u64, from: u64, to: u64) -> Header {
        let zeros = Digest([0; 32]);
        Header {
            v: 1,
            epoch: 0,
            number: BlockNumber(number),
            first: LogIndex(number),
            count: 1,
            previous: zeros,
            size: number + 1,
            root: zeros,
            packed: zeros,
            leaves: String::new(),
            writer: "w".to_owned(),
            from: UnixMillis(from),
            to: UnixMillis(to),
        }
    }

    #[test]
    fn a_clock_that_went_back_is_told_once() {
        let steps = |times: &[(u64, u64)]| {
            let mut watch = ClockWatch::default();
            (0..).zip(times).for_each(|(number, (from, to))| watch.saw(&header(number, *from, *to)));
            watch.steps().iter().map(|s| (s.block.0, s.behind)).collect::<Vec<_>>()
        };
        assert_eq!(steps(&[(1_000, 1_000), (2_000, 3_000), (2_500, 3_000)]), []);
        assert_eq!(steps(&[(100_000, 100_000), (40_000, 40_000)]), [], "a minute is within what clocks differ");
        assert_eq!(steps(&[(100_001, 100_001), (40_000, 40_000)]), [(1, 60_001)]);
        let jump = [(1_000, 1_000), (900_000_000, 900_000_000), (2_000, 2_000), (3_000, 3_000), (4_000, 4_000)];
        assert_eq!(steps(&jump), [(2, 899_998_000)], "what follows a jump is compared with the clock that runs then");
        assert_eq!(
            steps(&[(500_000, 500_000), (600_000, 1_000)]),
            [(1, 499_000)],
            "a block that ends before it begins"
        );
    }
}

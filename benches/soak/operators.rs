//! What the operator's processes take of the machine, as its kernel says.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A process of the operator, by its directory under /proc.
pub(crate) struct Operator(PathBuf);

/// The operators in this role whose files are in this directory.
pub(crate) fn operators(role: &str, directory: &Path) -> Vec<Operator> {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten().map(|process| process.path());
    processes.filter(|process| is_ours(process, role, &directory.display().to_string())).map(Operator).collect()
}

fn is_ours(process: &Path, role: &str, directory: &str) -> bool {
    let Ok(command) = std::fs::read_to_string(process.join("cmdline")) else { return false };
    let mut arguments = command.split('\0');
    arguments.next().is_some_and(|program| program.ends_with("miax-operator"))
        && arguments.next() == Some(role)
        && command.contains(directory)
}

impl Operator {
    /// Memory that it has now, in bytes; 0 when it has ended.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that it ever had, in bytes.
    pub(crate) fn most_resident(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(self.0.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Time that it spent on processors, all its threads together.
    pub(crate) fn on_cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(self.0.join("stat")).expect("it runs");
        // The name, in parentheses, may hold anything; user and system time are the 12th and 13th field after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).expect("a number");
        // Linux counts hundredths of a second for programs, whatever its own clock is.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }
}

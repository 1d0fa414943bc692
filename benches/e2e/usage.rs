//! What a process has used so far, as the operating system counts it.

/// Ticks of a second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;

/// Processor time and memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Seconds on a processor since its start.
    pub seconds: f64,
    /// Megabytes in memory.
    pub megabytes: f64,
}

impl Use {
    /// What process `id` has used.
    pub fn of(id: u32) -> Self {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{id}/{file}")).expect("a process on Linux")
        };
        // The name, in brackets, may hold anything; what follows are numbers.
        let stat = read("stat");
        let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = numbers.skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
        let status = read("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let kilobytes = line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
        Self { seconds: ticks / TICKS, megabytes: kilobytes.unwrap_or_default() * 1024.0 / 1e6 }
    }
}

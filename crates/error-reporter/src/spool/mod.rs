//! Events on disk, bounded, while the server cannot be reached.
//! No network and no masking: what arrives here is masked already.
//! Events come in and go out as lines of JSON, oldest and most severe first.
//!
//! A segment is a file of one severity, `<number>-<severity>.ndjson`, only ever appended to, and
//! deleted once all of it is delivered. After a crash the worst is a torn last line, which is skipped,
//! or a segment that is sent again, which its events' ids make harmless.

mod folder;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::VecDeque,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use tokio::{task::spawn_blocking, time::sleep};
use uuid::Uuid;

use crate::{
    clock,
    event::{Sealed, Severity},
};

#[derive(Debug)]
struct Segment {
    number: u64,
    severity: Severity,
    bytes: u64,
    /// Not yet delivered; 1 for a file of an earlier process until it is read.
    events: usize,
    /// Whether `events` is exact.
    counted: bool,
    /// Whether it may still be appended to.
    open: bool,
    /// How many of its first events are dealt with.
    done: usize,
    /// Above 0 where it could not be delivered for a reason of its own: all others go first, then
    /// that which has waited longest.
    parked: u64,
}

#[derive(Debug)]
pub(crate) struct Spool {
    base: PathBuf,
    folder: PathBuf,
    max_bytes: u64,
    segment_bytes: u64,
    /// Oldest first.
    segments: Vec<Segment>,
    numbers: u64,
    parkings: u64,
    /// What is left of the segment that is being delivered, and its number.
    reading: Option<(u64, VecDeque<Sealed>)>,
}

impl Spool {
    pub(crate) fn new(base: PathBuf, max_bytes: u64, segment_bytes: u64) -> Self {
        let folder = folder::own(&base, clock::now());
        let segment_bytes = segment_bytes.min(max_bytes.div_ceil(4));
        Self {
            base,
            folder,
            max_bytes,
            segment_bytes,
            segments: Vec::new(),
            numbers: 0,
            parkings: 0,
            reading: None,
        }
    }

    pub(crate) fn events(&self) -> usize {
        self.segments.iter().map(|segment| segment.events).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Where this process keeps its events.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Says that the folder is in use, and takes over what processes that are gone have left.
    pub(crate) fn adopt(&mut self) -> io::Result<()> {
        folder::make(&self.folder)?;
        let now = clock::now();
        folder::touch(&self.folder, now);
        for taken in folder::take_abandoned(&self.base, &self.folder, now)? {
            self.adopt_folder(&taken)?;
            fs::remove_dir_all(&taken)?;
        }
        Ok(())
    }

    fn adopt_folder(&mut self, taken: &Path) -> io::Result<()> {
        let mut paths =
            fs::read_dir(taken)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            // A process that died while it was taking over has such folders inside its own.
            if path.is_dir() {
                self.adopt_folder(&path)?;
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let severity = Severity::ALL
                .into_iter()
                .find(|severity| name.ends_with(&format!("-{}.ndjson", severity.as_str())));
            let Some(severity) = severity else { continue };
            let bytes = fs::metadata(&path)?.len();
            let number = self.new_segment(severity);
            fs::rename(&path, self.path(number, severity))?;
            if let Some(segment) = self.segment(number) {
                (segment.open, segment.counted, segment.events) = (false, false, 1);
                segment.bytes = bytes;
            }
        }
        Ok(())
    }

    /// Returns how many of each severity had to go to keep within the bound.
    pub(crate) fn append(&mut self, events: &[Sealed]) -> io::Result<[u64; 3]> {
        // Whoever has nothing to keep makes no folder: the last panic of a process comes after its reporter
        // was closed, and nobody would remove it.
        if events.is_empty() {
            return Ok([0; 3]);
        }
        folder::make(&self.folder)?;
        for severity in Severity::ALL {
            let mut text = String::new();
            let mut count = 0;
            for event in events.iter().filter(|event| event.severity == severity) {
                text.push_str(&event.line);
                text.push('\n');
                count += 1;
            }
            if count == 0 {
                continue;
            }
            let number = self.open_segment(severity);
            let written = write(&self.path(number, severity), text.as_bytes());
            let Some(segment) = self.segment(number) else { continue };
            if let Err(error) = written {
                // Half a line may have been written, and nothing may follow it in that file.
                segment.open = false;
                return Err(error);
            }
            segment.events += count;
            segment.bytes += text.len() as u64;
        }
        Ok(self.shrink())
    }

    /// The worst first, and the oldest of those; empty only where nothing is kept.
    ///
    /// # Errors
    /// Where there are segments, and none of them can be read now. They are kept.
    pub(crate) fn peek(&mut self, max_items: usize, max_bytes: usize) -> io::Result<Vec<Sealed>> {
        let mut tries = self.segments.len();
        let mut failure = None;
        loop {
            if let Some((_, events)) = &self.reading {
                if events.is_empty() {
                    self.finish();
                    continue;
                }
                let mut bytes = 0;
                let fits = |(index, event): &(usize, &Sealed)| {
                    bytes += event.line.len();
                    *index == 0 || bytes <= max_bytes
                };
                let batch = events.iter().take(max_items).enumerate().take_while(fits);
                return Ok(batch.map(|(_, event)| event.clone()).collect());
            }
            let order = |segment: &&mut Segment| (segment.parked, Reverse(segment.severity));
            // Of equals the first is the minimum, which is the oldest.
            let next = self.segments.iter_mut().min_by_key(order);
            let Some(segment) = next.filter(|_| tries > 0) else {
                return failure.map_or(Ok(Vec::new()), Err);
            };
            segment.open = false;
            let (number, severity, done) = (segment.number, segment.severity, segment.done);
            match read(&self.path(number, severity)) {
                Ok(mut events) => {
                    events.drain(..done.min(events.len()));
                    if let Some(segment) = self.segment(number) {
                        (segment.events, segment.counted) = (events.len(), true);
                    }
                    self.reading = Some((number, events));
                }
                // A disk that cannot be read now holds everything still.
                Err(error) => {
                    tries -= 1;
                    self.park_segment(number);
                    failure = Some(error);
                }
            }
        }
    }

    /// What `peek` returned may be at fault: everything else goes first from now on.
    ///
    /// Returns whether there is anything else.
    pub(crate) fn park(&mut self) -> bool {
        if let Some((number, _)) = self.reading.take() {
            self.park_segment(number);
        }
        self.segments.iter().any(|segment| segment.parked == 0)
    }

    fn park_segment(&mut self, number: u64) {
        self.parkings += 1;
        let parked = self.parkings;
        if let Some(segment) = self.segment(number) {
            segment.parked = parked;
        }
    }

    /// The first `count` of those that `peek` returned are dealt with.
    pub(crate) fn done(&mut self, count: usize) {
        let Some((number, events)) = &mut self.reading else { return };
        let count = count.min(events.len());
        events.drain(..count);
        let (number, left) = (*number, events.len());
        if left == 0 {
            self.finish();
        } else if let Some(segment) = self.segment(number) {
            segment.events = left;
            segment.done += count;
        }
    }

    /// Leaves nothing behind where nothing is kept; what another process left and could not be taken
    /// over yet is kept.
    pub(crate) fn remove_if_empty(&self) {
        if self.segments.is_empty() {
            fs::remove_dir(&self.folder).ok();
        }
    }

    fn finish(&mut self) {
        if let Some((number, _)) = self.reading.take() {
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(index) = self.segments.iter().position(|segment| segment.number == number) {
            let segment = self.segments.remove(index);
            fs::remove_file(self.path(number, segment.severity)).ok();
        }
    }

    fn path(&self, number: u64, severity: Severity) -> PathBuf {
        self.folder.join(format!("{number:012}-{}.ndjson", severity.as_str()))
    }

    fn segment(&mut self, number: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.number == number)
    }

    fn open_segment(&mut self, severity: Severity) -> u64 {
        let last = self.segments.iter().rfind(|segment| segment.severity == severity);
        match last {
            Some(last) if last.open && last.bytes < self.segment_bytes => last.number,
            _ => self.new_segment(severity),
        }
    }

    fn new_segment(&mut self, severity: Severity) -> u64 {
        self.numbers += 1;
        let number = self.numbers;
        self.segments.push(Segment {
            number,
            severity,
            bytes: 0,
            events: 0,
            counted: true,
            open: true,
            done: 0,
            parked: 0,
        });
        number
    }

    /// The oldest of the least severe goes first, but not what is being sent.
    fn shrink(&mut self) -> [u64; 3] {
        let mut dropped = [0; 3];
        let mut spared: Vec<_> = self.reading.iter().map(|(number, _)| *number).collect();
        while self.bytes() > self.max_bytes {
            let victims = self.segments.iter().filter(|other| !spared.contains(&other.number));
            // Of equals the first is the minimum, which is the oldest.
            let Some(victim) = victims.min_by_key(|segment| segment.severity) else { break };
            let (number, severity) = (victim.number, victim.severity);
            let counted = if victim.counted {
                Ok(victim.events)
            } else {
                read(&self.path(number, severity)).map(|events| events.len())
            };
            // What goes has to be counted, and what cannot be read now cannot be.
            let Ok(events) = counted else {
                spared.push(number);
                continue;
            };
            if let Some(count) = dropped.get_mut(severity as usize) {
                *count += events as u64;
            }
            self.remove(number);
        }
        dropped
    }
}

/// Says that a folder is in use, also while its owner waits: one that nobody touches is taken over.
/// Never ends.
pub(crate) async fn keep_touched(folder: &Path, every: Duration) {
    loop {
        sleep(every).await;
        let folder = folder.to_owned();
        spawn_blocking(move || folder::touch(&folder, clock::now())).await.ok();
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    // A machine that loses power would otherwise lose what was already called safe.
    file.sync_data()
}

/// The events of a file; none where somebody has removed it.
fn read(path: &Path) -> io::Result<VecDeque<Sealed>> {
    #[derive(Deserialize)]
    struct Row {
        error_id: Uuid,
        severity: Severity,
    }
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        read => read?,
    };
    let lines = text.split(|byte| *byte == b'\n');
    let events = lines
        .filter_map(|line| {
            // What cannot be read is the line during which the process or the machine went down.
            let row: Row = serde_json::from_slice(line).ok()?;
            let line = std::str::from_utf8(line).ok()?.into();
            Some(Sealed { id: row.error_id, severity: row.severity, line })
        })
        .collect();
    Ok(events)
}

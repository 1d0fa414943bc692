//! Events on disk, bounded, while the server cannot be reached.
//! No network and no masking: what arrives here is masked already.
//! Events come in and go out as lines of JSON, oldest and most severe first.
//!
//! A segment is a file of one severity, `<number>-<severity>.ndjson`, only ever appended to, and
//! deleted once all of it is delivered. After a crash the worst is a torn last line, which is skipped,
//! or a segment that is sent again, which its events' ids make harmless.

mod folder;

use std::{
    collections::VecDeque,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
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
            reading: None,
        }
    }

    pub(crate) fn events(&self) -> usize {
        self.segments.iter().map(|segment| segment.events).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
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
        let mut paths: Vec<_> =
            fs::read_dir(taken)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
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
    pub(crate) fn peek(&mut self, max_items: usize, max_bytes: usize) -> Vec<Sealed> {
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
                return batch.map(|(_, event)| event.clone()).collect();
            }
            let worst = self.segments.iter().map(|segment| segment.severity).max();
            let next = self.segments.iter_mut().find(|segment| Some(segment.severity) == worst);
            let Some(segment) = next else { return Vec::new() };
            segment.open = false;
            let (number, severity) = (segment.number, segment.severity);
            let events = read(&self.path(number, severity));
            if let Some(segment) = self.segment(number) {
                (segment.events, segment.counted) = (events.len(), true);
            }
            self.reading = Some((number, events));
        }
    }

    /// The first `count` of those that `peek` returned are dealt with.
    pub(crate) fn done(&mut self, count: usize) {
        let Some((number, events)) = &mut self.reading else { return };
        events.drain(..count.min(events.len()));
        let (number, left) = (*number, events.len());
        if left == 0 {
            self.finish();
        } else if let Some(segment) = self.segment(number) {
            segment.events = left;
        }
    }

    /// Leaves nothing behind where nothing is kept.
    pub(crate) fn remove_if_empty(&self) {
        if self.segments.is_empty() {
            fs::remove_dir_all(&self.folder).ok();
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
        });
        number
    }

    /// The oldest of the least severe goes first, but not what is being sent.
    fn shrink(&mut self) -> [u64; 3] {
        let mut dropped = [0; 3];
        let reading = self.reading.as_ref().map(|(number, _)| *number);
        while self.bytes() > self.max_bytes {
            let victims = self.segments.iter().filter(|segment| Some(segment.number) != reading);
            // Of equals the first is the minimum, which is the oldest.
            let Some(victim) = victims.min_by_key(|segment| segment.severity) else { break };
            let (number, severity) = (victim.number, victim.severity);
            let events = if victim.counted {
                victim.events
            } else {
                read(&self.path(number, severity)).len()
            };
            if let Some(count) = dropped.get_mut(severity as usize) {
                *count += events as u64;
            }
            self.remove(number);
        }
        dropped
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

fn read(path: &Path) -> VecDeque<Sealed> {
    #[derive(Deserialize)]
    struct Row {
        error_id: Uuid,
        severity: Severity,
    }
    let text = fs::read(path).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            // What cannot be read is the line during which the process or the machine went down.
            let row: Row = serde_json::from_slice(line).ok()?;
            let line = std::str::from_utf8(line).ok()?.into();
            Some(Sealed { id: row.error_id, severity: row.severity, line })
        })
        .collect()
}

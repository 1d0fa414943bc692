//! Rows in COPY's binary form, and a compact place to keep them until they are in order.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format": a header, then for each row
//! the number of its fields and each field's length (-1 for null) and bytes; at the end the number -1.

use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::Columns;
use crate::model::{ErrorEvent, Severity, Source, Timestamp};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
const EPOCH: i64 = 946_684_800_000_000;

/// The stream is not what COPY promises.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled(pub &'static str);

/// One row as it came: fields in the order of the statement.
pub(super) struct Fields<'a>(&'a [u8]);

/// Takes the stream apart, however it was cut into pieces.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// What came of a row that is not whole yet.
    rest: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl Decoder {
    /// Gives to `each` the rows that `piece` completes.
    pub fn take(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(Fields<'_>) -> Result<(), Garbled>,
    ) -> Result<(), Garbled> {
        let joined;
        let mut bytes = if self.rest.is_empty() {
            piece
        } else {
            self.rest.extend_from_slice(piece);
            joined = std::mem::take(&mut self.rest);
            joined.as_slice()
        };
        if !self.begun {
            let Some(rest) = behind_header(bytes)? else {
                self.rest = bytes.to_vec();
                return Ok(());
            };
            (bytes, self.begun) = (rest, true);
        }
        while !bytes.is_empty() && !self.ended {
            match row(bytes)? {
                Step::Row(fields, rest) => {
                    each(Fields(fields))?;
                    bytes = rest;
                }
                Step::End => self.ended = true,
                Step::More => {
                    self.rest = bytes.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether everything came.
    pub const fn is_whole(&self) -> bool {
        self.ended && self.rest.is_empty()
    }
}

/// What follows the header; none while that is not whole.
fn behind_header(bytes: &[u8]) -> Result<Option<&[u8]>, Garbled> {
    let Some((signature, rest)) = bytes.split_at_checked(SIGNATURE.len()) else { return Ok(None) };
    if signature != SIGNATURE {
        return Err(Garbled("COPY does not begin with its signature"));
    }
    let Some((_flags, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let Some((extension, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let extension = usize::try_from(u32::from_be_bytes(*extension)).unwrap_or(usize::MAX);
    Ok(rest.split_at_checked(extension).map(|(_, rest)| rest))
}

enum Step<'a> {
    /// A row's fields, and what follows.
    Row(&'a [u8], &'a [u8]),
    End,
    More,
}

fn row(bytes: &[u8]) -> Result<Step<'_>, Garbled> {
    let Some((count, fields)) = bytes.split_first_chunk::<2>() else { return Ok(Step::More) };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(Step::End);
    }
    let mut rest = fields;
    for _ in 0..count {
        let Some((length, tail)) = rest.split_first_chunk::<4>() else { return Ok(Step::More) };
        let length = i32::from_be_bytes(*length);
        if length < -1 {
            return Err(Garbled("a field of COPY has a negative length"));
        }
        let length = usize::try_from(length).unwrap_or(0);
        let Some((_, tail)) = tail.split_at_checked(length) else { return Ok(Step::More) };
        rest = tail;
    }
    let (fields, rest) = fields.split_at(fields.len() - rest.len());
    Ok(Step::Row(fields, rest))
}

impl<'a> Fields<'a> {
    /// The next field; none where it is null.
    fn next(&mut self) -> Result<Option<&'a [u8]>, Garbled> {
        const SHORT: Garbled = Garbled("a row of COPY has too few fields");
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or(SHORT)?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.0 = rest;
            return Ok(None);
        };
        let (field, rest) = rest.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(Some(field))
    }

    fn number(&mut self) -> Result<i64, Garbled> {
        let field = self.next()?.and_then(|field| field.try_into().ok());
        field.map(i64::from_be_bytes).ok_or(Garbled("a number of COPY has not 8 bytes"))
    }

    fn instant(&mut self) -> Result<i64, Garbled> {
        Ok(self.number()?.saturating_add(EPOCH))
    }

    fn id(&mut self) -> Result<Option<Uuid>, Garbled> {
        let Some(field) = self.next()? else { return Ok(None) };
        let id = Uuid::from_slice(field).map_err(|_| Garbled("an id of COPY has not 16 bytes"))?;
        Ok(Some(id))
    }

    fn text(&mut self) -> Result<&'a str, Garbled> {
        let field = self.next()?.unwrap_or_default();
        std::str::from_utf8(field).map_err(|_| Garbled("a text of COPY is not UTF-8"))
    }
}

/// Values that come again and again, each kept once.
#[derive(Debug)]
struct Kept<T> {
    numbers: FxHashMap<T, u32>,
    values: Vec<T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default(), values: Vec::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Kept<T> {
    fn add(&mut self, value: T) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(value).or_insert_with_key(|value| {
            self.values.push(value.clone());
            next
        })
    }

    fn get(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize)
    }
}

/// One row; what is not a number is one of the [`Kept`] values.
#[derive(Clone, Copy, Debug)]
struct Row {
    received_at: i64,
    seq: i64,
    timestamp: i64,
    source: Source,
    severity: Severity,
    error_type: u32,
    project: u32,
    workflow: u32,
    fingerprint: u32,
    message: u32,
}

/// Rows that were read: 56 bytes each, and each text and id once.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Columns,
    rows: Vec<Row>,
    ids: Kept<Option<Uuid>>,
    texts: Kept<Box<str>>,
    /// Bytes of the texts.
    written: usize,
    /// Rows that could not be understood.
    strange: u64,
}

impl Rows {
    /// None yet, of which the statement reads `columns`.
    pub fn new(columns: Columns) -> Self {
        let (ids, texts) = (Kept::default(), Kept::default());
        let mut rows = Self { columns, rows: Vec::new(), ids, texts, written: 0, strange: 0 };
        rows.forget();
        rows
    }

    /// How many rows there are, and how many bytes of text.
    pub fn size(&self) -> (usize, usize) {
        (self.rows.len(), self.written)
    }

    /// Keeps one row.
    pub fn add(&mut self, mut fields: Fields<'_>) -> Result<(), Garbled> {
        let columns = self.columns;
        let (received_at, seq) = (fields.instant()?, fields.number()?);
        let timestamp = fields.instant()?;
        let source = if columns.source { fields.text()?.parse() } else { Ok(Source::System) };
        let error_type = if columns.error_type { self.text(fields.text()?) } else { 0 };
        let severity = if columns.severity { fields.text()?.parse() } else { Ok(Severity::Low) };
        let mut id = |wanted| -> Result<u32, Garbled> {
            Ok(if wanted { self.ids.add(fields.id()?) } else { 0 })
        };
        let (project, workflow) = (id(columns.project)?, id(columns.workflow)?);
        let fingerprint = id(columns.fingerprint)?;
        let message = if columns.message { self.text(fields.text()?) } else { 0 };
        // A later version's word is left out, as it is when running live.
        let (Ok(source), Ok(severity)) = (source, severity) else {
            self.strange += 1;
            return Ok(());
        };
        self.rows.push(Row {
            received_at,
            seq,
            timestamp,
            source,
            severity,
            error_type,
            project,
            workflow,
            fingerprint,
            message,
        });
        Ok(())
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(number) = self.texts.numbers.get(text) {
            return *number;
        }
        self.written += text.len();
        self.texts.add(text.into())
    }

    /// Puts them in the order in which they were received. They come nearly in this order.
    pub fn sort(&mut self) {
        self.rows.sort_by_key(|row| (row.received_at, row.seq));
    }

    /// Forgets the rows, and what they held.
    pub fn forget(&mut self) {
        self.rows.clear();
        (self.ids, self.texts) = (Kept::default(), Kept::default());
        self.written = 0;
        // Number 0 of each is what a column holds that is not read.
        self.ids.add(None);
        self.texts.add("".into());
    }

    /// How many rows were read in all since the last time this was asked, understood or not.
    pub fn take_count(&mut self) -> u64 {
        let kept = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        kept + std::mem::take(&mut self.strange)
    }

    /// Row number `place` written into `event`; false where there is no such row.
    pub fn fill(&self, place: usize, event: &mut ErrorEvent) -> bool {
        let Some(row) = self.rows.get(place) else { return false };
        let id = |number| self.ids.get(number).copied().flatten();
        let copy = |to: &mut Box<str>, number| {
            if let Some(text) = self.texts.get(number).filter(|text| *text != to) {
                to.clone_from(text);
            }
        };
        event.seq = row.seq;
        event.timestamp = Timestamp::from_micros(row.timestamp);
        event.received_at = Timestamp::from_micros(row.received_at);
        (event.source, event.severity) = (row.source, row.severity);
        (event.project_id, event.workflow_id) = (id(row.project), id(row.workflow));
        event.fingerprint = id(row.fingerprint).unwrap_or_default();
        if self.columns.error_type {
            copy(&mut event.error_type, row.error_type);
        }
        if self.columns.message {
            copy(&mut event.message, row.message);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::history::blank;

    fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
        let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).expect("short"));
        out.extend(length.to_be_bytes());
        out.extend(bytes.unwrap_or_default());
    }

    /// What the server sends for rows of received_at, seq, timestamp, error type and project.
    fn stream(rows: &[(i64, i64, &str, Option<Uuid>)]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([0; 8]);
        for (received_at, seq, error_type, project) in rows {
            out.extend(5_i16.to_be_bytes());
            field(&mut out, Some(&(received_at - EPOCH).to_be_bytes()));
            field(&mut out, Some(&seq.to_be_bytes()));
            field(&mut out, Some(&(received_at - EPOCH - 5).to_be_bytes()));
            field(&mut out, Some(error_type.as_bytes()));
            field(&mut out, project.as_ref().map(|id| &id.as_bytes()[..]));
        }
        out.extend((-1_i16).to_be_bytes());
        out
    }

    #[test]
    fn rows_are_read_however_the_stream_is_cut() {
        let project = Uuid::from_u128(7);
        let bytes = stream(&[
            (2_000, 9, "execution.oom", Some(project)),
            (1_000, 3, "input", None),
            (1_000, 2, "execution.oom", Some(project)),
        ]);
        let columns = Columns { error_type: true, project: true, ..Columns::default() };
        for length in 1..=bytes.len() {
            let (mut decoder, mut rows) = (Decoder::default(), Rows::new(columns));
            for piece in bytes.chunks(length) {
                assert!(!decoder.is_whole());
                decoder.take(piece, |fields| rows.add(fields)).expect("well-formed");
            }
            assert!(decoder.is_whole());
            rows.sort();
            assert_eq!(rows.size(), (3, 18), "each text once");
            let mut event = blank();
            let mut seen = Vec::new();
            for place in 0.. {
                if !rows.fill(place, &mut event) {
                    break;
                }
                let at = (event.received_at.micros(), event.timestamp.micros());
                seen.push((at, event.seq, event.error_type.to_string(), event.project_id));
            }
            let oom = "execution.oom".to_owned();
            assert_eq!(
                seen,
                [
                    ((1_000, 995), 2, oom.clone(), Some(project)),
                    ((1_000, 995), 3, "input".to_owned(), None),
                    ((2_000, 1_995), 9, oom, Some(project)),
                ]
            );
            assert_eq!(rows.take_count(), 3);
        }
    }

    #[test]
    fn a_garbled_stream_is_refused() {
        let take = |bytes: &[u8]| Decoder::default().take(bytes, |_| Ok(()));
        assert!(take(b"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0").is_err());
        let mut short = SIGNATURE.to_vec();
        short.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(take(&short), Err(Garbled("a field of COPY has a negative length")));
        let mut decoder = Decoder::default();
        decoder.take(&stream(&[])[..19], |_| Ok(())).expect("a header");
        assert!(!decoder.is_whole(), "an answer that ends early is no answer");
    }
}

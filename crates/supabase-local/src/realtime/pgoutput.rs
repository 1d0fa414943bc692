//! The `pgoutput` messages of protocol version 1 that matter here.
//!
//! Layout: PostgreSQL documentation, "Logical Replication Message Formats".

use std::sync::Arc;

/// What a relation looked like when its rows were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// `d`efault, `n`othing, `f`ull or `i`ndex.
    pub identity: u8,
    /// In table order.
    pub columns: Vec<Column>,
}

/// A column of a [`Relation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `pg_type.oid`.
    pub type_oid: u32,
}

/// A column's value in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// SQL null.
    Null,
    /// A large value that this update did not touch, so the log does not repeat it.
    Unchanged,
    /// The type's text form.
    Text(String),
}

/// A row, one cell for each column of its relation.
pub type Row = Vec<Cell>;

/// A message that carries rows or describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Sent before the first change of a table and after each change of its shape.
    Relation(Arc<Relation>),
    /// A new row of a table.
    Insert {
        /// The table.
        oid: u32,
        /// The row.
        new: Row,
    },
    /// A changed row of a table.
    Update {
        /// The table.
        oid: u32,
        /// The old key or, with replica identity full, the old row.
        old: Option<Row>,
        /// The row.
        new: Row,
    },
    /// A deleted row of a table: its key or, with replica identity full, all of it.
    Delete {
        /// The table.
        oid: u32,
        /// The row.
        old: Row,
    },
    /// Anything else: origin, type, truncate.
    Other,
}

/// Reads a message. `None` when it is cut short or not text where text must be.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader(bytes);
    match reader.u8()? {
        b'R' => {
            let oid = reader.u32()?;
            let (schema, table) = (reader.string()?, reader.string()?);
            let identity = reader.u8()?;
            let count = reader.u16()?;
            let columns = (0..count).map(|_| {
                reader.u8()?;
                let name = reader.string()?;
                let type_oid = reader.u32()?;
                reader.u32()?;
                Some(Column { name, type_oid })
            });
            let columns = columns.collect::<Option<Vec<_>>>()?;
            // An empty schema name stands for pg_catalog.
            let schema = if schema.is_empty() { "pg_catalog".to_owned() } else { schema };
            Some(Message::Relation(Arc::new(Relation { oid, schema, table, identity, columns })))
        }
        b'I' => {
            let oid = reader.u32()?;
            reader.u8()?;
            Some(Message::Insert { oid, new: reader.row()? })
        }
        b'U' => {
            let oid = reader.u32()?;
            let old = match reader.u8()? {
                b'K' | b'O' => {
                    let old = reader.row()?;
                    reader.u8()?;
                    Some(old)
                }
                _ => None,
            };
            Some(Message::Update { oid, old, new: reader.row()? })
        }
        b'D' => {
            let oid = reader.u32()?;
            reader.u8()?;
            Some(Message::Delete { oid, old: reader.row()? })
        }
        _ => Some(Message::Other),
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8(self.take(end)?.to_vec()).ok()?;
        self.take(1)?;
        Some(text)
    }

    fn row(&mut self) -> Option<Row> {
        let count = self.u16()?;
        let cells = (0..count).map(|_| match self.u8()? {
            b'n' => Some(Cell::Null),
            b'u' => Some(Cell::Unchanged),
            _ => {
                let length = usize::try_from(self.u32()?).ok()?;
                Some(Cell::Text(String::from_utf8(self.take(length)?.to_vec()).ok()?))
            }
        });
        cells.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rows_and_survives_every_cut() {
        let mut bytes = b"U\x00\x00\x00\x07K\x00\x01t\x00\x00\x00\x011N\x00\x03".to_vec();
        bytes.extend_from_slice(b"t\x00\x00\x00\x012nu");
        let want = Message::Update {
            oid: 7,
            old: Some(vec![Cell::Text("1".into())]),
            new: vec![Cell::Text("2".into()), Cell::Null, Cell::Unchanged],
        };
        assert_eq!(decode(&bytes), Some(want));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(decode(b"T...."), Some(Message::Other));
    }

    #[test]
    fn reads_a_relation() {
        let bytes =
            b"R\x00\x00\x00\x09public\x00t\x00d\x00\x01\x01id\x00\x00\x00\x00\x14\xff\xff\xff\xff";
        let Some(Message::Relation(relation)) = decode(bytes) else { panic!("not read") };
        assert_eq!((relation.oid, relation.table.as_str()), (9, "t"));
        assert_eq!(relation.columns, vec![Column { name: "id".into(), type_oid: 20 }]);
    }
}

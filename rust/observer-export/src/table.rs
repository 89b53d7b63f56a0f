// SPDX-License-Identifier: Apache-2.0
//! Calls and signals as a Parquet table, one row group at a time. Columns: docs/spec/export.md §7.

use crate::redact::Redactor;
use crate::rows::{Row, Rows};
use crate::tree::Tree;
use observer_recording::{RecordingError, RecordingReader};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

const SCHEMA: &str = "message calls {
    REQUIRED INT64 record; REQUIRED BYTE_ARRAY kind (STRING); REQUIRED INT64 wall_ns (TIMESTAMP(NANOS,true));
    REQUIRED INT64 start_ns; OPTIONAL INT64 duration_ns; REQUIRED INT32 pid; REQUIRED INT32 tid; OPTIONAL INT32 process;
    REQUIRED BYTE_ARRAY syscall (STRING); OPTIONAL BYTE_ARRAY outcome (STRING); OPTIONAL BYTE_ARRAY errno (STRING);
    OPTIONAL INT64 result; OPTIONAL BYTE_ARRAY path (STRING); REQUIRED BYTE_ARRAY text (STRING);
}";

/// Rows of one row group.
const GROUP: usize = 65_536;

/// Bytes written and not yet taken.
#[derive(Clone, Default)]
struct Pending(Arc<Mutex<Vec<u8>>>);

impl Pending {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A table under construction.
pub struct Table {
    /// What goes in.
    pub rows: Rows,
    pending: Pending,
    writer: Option<SerializedFileWriter<Pending>>,
}

fn broken(error: parquet::errors::ParquetError) -> RecordingError {
    RecordingError::Malformed(format!("a row does not fit the table: {error}"))
}

impl Table {
    /// Begins a table of a recording's calls.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn new(reader: &RecordingReader, trace: [u8; 16], text_id: &str, redactor: Redactor) -> Result<Table, RecordingError> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(broken)?);
        let zstd = Compression::ZSTD(ZstdLevel::try_new(3).map_err(broken)?);
        let id = KeyValue::new("observer.trace_id".to_owned(), text_id.to_owned());
        let properties = WriterProperties::builder()
            .set_compression(zstd)
            .set_created_by("observer".to_owned())
            .set_key_value_metadata(Some(vec![id]))
            .build();
        let pending = Pending::default();
        let writer = SerializedFileWriter::new(pending.clone(), schema, Arc::new(properties)).map_err(broken)?;
        Ok(Table { rows: Rows::new(Tree::of(reader, trace)?, reader, redactor), pending, writer: Some(writer) })
    }

    /// The next row group's bytes and how many rows it has; no rows at the end of the recording.
    ///
    /// # Errors
    /// When a chunk is not what was sealed.
    pub fn next(&mut self, reader: &RecordingReader) -> Result<(usize, Vec<u8>), RecordingError> {
        let rows = self.rows.next(reader, GROUP)?;
        if let Some(writer) = self.writer.as_mut().filter(|_| !rows.is_empty()) {
            let mut group = writer.next_row_group().map_err(broken)?;
            columns(&mut group, &rows).map_err(broken)?;
            group.close().map_err(broken)?;
        }
        Ok((rows.len(), self.pending.take()))
    }

    /// The end of the file; whatever was handed out before is then a whole table.
    ///
    /// # Errors
    /// When it was finished already.
    pub fn finish(&mut self) -> Result<Vec<u8>, RecordingError> {
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(broken)?;
        }
        Ok(self.pending.take())
    }
}

type Group<'a> = SerializedRowGroupWriter<'a, Pending>;

fn column<T: DataType>(group: &mut Group<'_>, values: &[T::T], levels: Option<&[i16]>) -> parquet::errors::Result<()> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()?;
    }
    Ok(())
}

fn required<T: DataType>(group: &mut Group<'_>, values: impl Iterator<Item = T::T>) -> parquet::errors::Result<()> {
    column::<T>(group, &values.collect::<Vec<_>>(), None)
}

fn optional<T: DataType>(group: &mut Group<'_>, values: impl Iterator<Item = Option<T::T>>) -> parquet::errors::Result<()> {
    let all: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = all.iter().map(|value| i16::from(value.is_some())).collect();
    column::<T>(group, &all.into_iter().flatten().collect::<Vec<_>>(), Some(&levels))
}

fn text(value: &str) -> ByteArray {
    ByteArray::from(value.as_bytes().to_vec())
}

fn columns(group: &mut Group<'_>, rows: &[Row]) -> parquet::errors::Result<()> {
    required::<Int64Type>(group, rows.iter().map(|row| row.record as i64))?;
    required::<ByteArrayType>(group, rows.iter().map(|row| text(row.kind)))?;
    required::<Int64Type>(group, rows.iter().map(|row| row.wall_ns as i64))?;
    required::<Int64Type>(group, rows.iter().map(|row| row.start_ns as i64))?;
    optional::<Int64Type>(group, rows.iter().map(|row| row.duration_ns.map(|ns| ns as i64)))?;
    required::<Int32Type>(group, rows.iter().map(|row| row.pid as i32))?;
    required::<Int32Type>(group, rows.iter().map(|row| row.tid as i32))?;
    optional::<Int32Type>(group, rows.iter().map(|row| row.process.and_then(|place| i32::try_from(place).ok())))?;
    required::<ByteArrayType>(group, rows.iter().map(|row| text(&row.name)))?;
    optional::<ByteArrayType>(group, rows.iter().map(|row| row.outcome.map(text)))?;
    optional::<ByteArrayType>(group, rows.iter().map(|row| row.errno.as_deref().map(text)))?;
    optional::<Int64Type>(group, rows.iter().map(|row| row.result))?;
    optional::<ByteArrayType>(group, rows.iter().map(|row| row.path.as_deref().map(text)))?;
    required::<ByteArrayType>(group, rows.iter().map(|row| text(&row.text)))
}

//! The blocks of one bundle in one object: canonical JSON, one block a line, exactly what the cluster stores. From it the
//! ConfigMaps are made again byte by byte, which tiles alone cannot do: packing differs between versions of zstd.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::trust::canonical_json;

use super::super::block::{BlockError, BlockParts};

/// Most bytes of one line: a block with its longest header, in base64.
const MAX_LINE: usize = 256 * 1024;

/// A block in its line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    edge: String,
    entries: String,
    header: String,
    name: String,
    seal: String,
}

/// Why a line is not a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlocksError {
    /// It is not the one spelling of a block.
    #[error("line {line} is not a block in canonical JSON")]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// The line is longer than a block can be.
    #[error("line {line} has {found} bytes; a block has at most {MAX_LINE}")]
    Long {
        /// Which line, from 1.
        line: usize,
        /// Its length.
        found: usize,
    },
    /// The object ends inside of a line.
    #[error("line {line} is cut off")]
    Cut {
        /// Which line, from 1.
        line: usize,
    },
}

/// The line of a block, with its end.
pub(super) fn write_block(name: &str, parts: &BlockParts) -> Result<Vec<u8>, BlockError> {
    let BlockParts { header, seal, entries, edge } = parts;
    let line = Line {
        edge: STANDARD.encode(edge),
        entries: STANDARD.encode(entries),
        header: header.clone(),
        name: name.to_owned(),
        seal: seal.clone(),
    };
    let wrong = |e: &dyn std::fmt::Display| BlockError::Pack(e.to_string());
    let value = serde_json::to_value(&line).map_err(|e| wrong(&e))?;
    let mut bytes = canonical_json(&value).map_err(|e| wrong(&e))?.into_vec();
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads the blocks of an object, each with its name; the first line that is wrong ends it. Whether they are right is told by
/// the verifier.
#[must_use]
pub fn read_blocks(bytes: &[u8]) -> Vec<Result<(String, BlockParts), BlocksError>> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(bytes.split_inclusive(|b| *b == b'\n')) {
        let block = read_line(line, text);
        let wrong = block.is_err();
        found.push(block);
        if wrong {
            break;
        }
    }
    found
}

fn read_line(line: usize, text: &[u8]) -> Result<(String, BlockParts), BlocksError> {
    if text.len() > MAX_LINE {
        return Err(BlocksError::Long { line, found: text.len() });
    }
    let json = text.strip_suffix(b"\n").ok_or(BlocksError::Cut { line })?;
    let wrong = || BlocksError::Line { line };
    let Line { edge, entries, header, name, seal } = serde_json::from_slice(json).map_err(|_| wrong())?;
    let bytes = |text: &str| STANDARD.decode(text).map_err(|_| wrong());
    let parts = BlockParts { header, seal, entries: bytes(&entries)?, edge: bytes(&edge)? };
    match write_block(&name, &parts) {
        Ok(again) if again == text => Ok((name, parts)),
        Ok(_) | Err(_) => Err(wrong()),
    }
}

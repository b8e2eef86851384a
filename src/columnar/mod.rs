//! Arrow <-> device encodings: which Arrow type is which array on the device, ordered dictionaries for strings,
//! column statistics, and the layout of a table as chunks of shards.

pub mod codes;
pub mod decode;
pub mod dictionary;
pub mod encode;
pub mod host_array;
pub mod layout;
pub mod narrow;
pub mod range;
pub mod representation;
pub mod table;

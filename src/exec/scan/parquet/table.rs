//! Parquet files that make up a table, opened: what is in which row group, and how each column is decoded. Only what is plain
//! is read this way (columns that every file has, of the table's own types, not nested); DataFusion's scan reads the rest.

use std::fmt::{self, Write};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{DefaultParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetSource};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::object_store::ObjectStore;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::basic::{Encoding, Type as Physical};
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{StreamExt, TryStreamExt};

use crate::columnar::representation::string_type;
use crate::exec::scan::parquet::prune::RowGroup;

/// Files whose footers are read at a time.
const OPENED_AT_A_TIME: usize = 16;

/// Digits that 64 bits hold.
const DECIMAL64_DIGITS: u8 = 18;

/// The files of a table, or what is to be read of them.
pub struct ParquetTable {
    pub files: Vec<ParquetFile>,
    /// Those that are asked for: name and type.
    pub columns: Vec<(String, DataType)>,
    /// What is read of each file.
    pub row_groups: Vec<Vec<RowGroup>>,
}

/// One file.
pub struct ParquetFile {
    pub file: PartitionedFile,
    /// Gives the bytes of chunks.
    pub bytes: ByteSource,
    /// As the file says.
    own: ArrowReaderMetadata,
    /// Strings are read as dictionaries, decimals of 64 bits as such.
    with_dictionaries: ArrowReaderMetadata,
    /// Strings are read as views.
    with_views: ArrowReaderMetadata,
    /// The leaf of the file's schema that is each column of the table.
    leaves: Vec<usize>,
}

/// Where the bytes of a file come from.
#[derive(Clone)]
pub enum ByteSource {
    /// The store, which may give a file of the system.
    Store(Arc<dyn ObjectStore>),
    /// Readers that someone has configured.
    Readers(Arc<dyn ParquetFileReaderFactory>),
}

impl ParquetTable {
    /// Reads the footers of `files`, which are those of `config`, for the columns with the numbers `wanted` in the table's schema;
    /// `None` if DataFusion's scan has to read them.
    pub async fn open(
        config: &FileScanConfig,
        files: Vec<PartitionedFile>,
        wanted: &[usize],
        task: &Arc<TaskContext>,
    ) -> Result<Option<Self>> {
        let Some(source) = config.file_source().downcast_ref::<ParquetSource>() else { return Ok(None) };
        let options = source.table_parquet_options();
        let schema = source.table_schema().file_schema();
        let is_encrypted = options.crypto.file_decryption.is_some() || options.crypto.factory_id.is_some();
        // Partition columns come after those of the files.
        let of_files = wanted.iter().all(|column| *column < schema.fields().len());
        let is_plain = files.iter().all(|file| file.extensions.is_empty() && file.arrow_schema.is_none());
        if is_encrypted || !of_files || !is_plain || config.expr_adapter_factory.is_some() {
            return Ok(None);
        }
        let column = |index: &usize| {
            let field = schema.field(*index);
            (field.name().clone(), field.data_type().clone())
        };
        let columns: Vec<_> = wanted.iter().map(column).collect();
        let has_filter = source.filter().is_some() && options.global.pruning && options.global.enable_page_index;
        let pages = if has_filter { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
        let footer = ArrowReaderOptions::new().with_page_index_policy(pages);
        let store = task.runtime_env().object_store(&config.object_store_url)?;
        let (factory, bytes) = match source.parquet_file_reader_factory() {
            Some(factory) if is_datafusions(factory) => (Arc::clone(factory), ByteSource::Store(store)),
            Some(factory) => (Arc::clone(factory), ByteSource::Readers(Arc::clone(factory))),
            None => {
                let factory: Arc<dyn ParquetFileReaderFactory> =
                    Arc::new(DefaultParquetFileReaderFactory::new(Arc::clone(&store)));
                (factory, ByteSource::Store(store))
            }
        };
        let open = |file: PartitionedFile| {
            let (factory, bytes, columns, footer) = (Arc::clone(&factory), bytes.clone(), &columns, footer.clone());
            async move {
                let metadata = reader(&factory, &file)?.get_metadata(Some(&footer)).await?;
                Ok::<_, datafusion::error::DataFusionError>(ParquetFile::try_new(file, bytes, metadata, columns))
            }
        };
        let opened = futures::stream::iter(files).map(open).buffered(OPENED_AT_A_TIME);
        let files: Vec<Option<ParquetFile>> = opened.try_collect().await?;
        let files: Option<Vec<ParquetFile>> = files.into_iter().collect();
        let whole =
            |files: Vec<ParquetFile>| Self { row_groups: files.iter().map(RowGroup::all_of).collect(), files, columns };
        Ok(files.map(whole))
    }

    /// What a person would call it: the file, or its folder.
    pub fn name(&self) -> String {
        let Some(first) = self.files.first().map(|file| &file.file.object_meta.location) else { return String::new() };
        let parts: Vec<_> = first.parts().collect();
        let from_end = if self.files.len() > 1 { 2 } else { 1 };
        let name = parts.len().checked_sub(from_end).and_then(|at| parts.get(at)).or(parts.last());
        let name = name.map_or(String::new(), |name| name.as_ref().to_string());
        name.strip_suffix(".parquet").unwrap_or(&name).to_string()
    }

    /// Rows that are read.
    pub fn rows(&self) -> usize {
        rows_of(&self.row_groups)
    }
}

/// Rows of the row groups of some files.
pub fn rows_of(row_groups: &[Vec<RowGroup>]) -> usize {
    row_groups.iter().flatten().map(|group| group.rows).sum()
}

impl ParquetFile {
    /// `None` if a column of the table is not to be found, nested, or of another type.
    fn try_new(
        file: PartitionedFile,
        bytes: ByteSource,
        metadata: Arc<ParquetMetaData>,
        columns: &[(String, DataType)],
    ) -> Option<Self> {
        let own = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new()).ok()?;
        let leaves = columns.iter().map(|(name, data_type)| leaf(&own, name, data_type)).collect::<Option<Vec<_>>>()?;
        let read_as = |strings: &DataType| {
            let descriptor = own.parquet_schema();
            let mut fields: Vec<Arc<Field>> = own.schema().fields().iter().cloned().collect();
            for leaf in &leaves {
                let root = descriptor.get_column_root_idx(*leaf);
                let read = match fields[root].data_type() {
                    data_type if string_type(data_type).is_some() => strings.clone(),
                    DataType::Decimal128(precision, scale)
                        if *precision <= DECIMAL64_DIGITS
                            && matches!(
                                descriptor.column(*leaf).physical_type(),
                                Physical::INT32 | Physical::INT64
                            ) =>
                    {
                        DataType::Decimal64(*precision, *scale)
                    }
                    _ => continue,
                };
                fields[root] = Arc::new(fields[root].as_ref().clone().with_data_type(read));
            }
            let schema = Arc::new(Schema::new_with_metadata(fields, own.schema().metadata().clone()));
            ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new().with_schema(schema)).ok()
        };
        Some(Self {
            with_dictionaries: read_as(&DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))?,
            with_views: read_as(&DataType::Utf8View)?,
            own,
            leaves,
            file,
            bytes,
        })
    }

    /// Whether column `name` of the table is in the file as it stands.
    pub fn holds(&self, name: &str, data_type: &DataType) -> bool {
        leaf(&self.own, name, data_type).is_some()
    }

    pub fn metadata(&self) -> &ParquetMetaData {
        self.with_views.metadata()
    }

    /// The chunk of a column in a row group.
    pub fn chunk(&self, row_group: usize, column: usize) -> &ColumnChunkMetaData {
        self.metadata().row_group(row_group).column(self.leaves[column])
    }

    /// The leaf that is a column of the table, and how it is decoded in this row group: strings as dictionaries where every page
    /// has codes.
    pub fn decoded_by(&self, row_group: usize, column: usize) -> (usize, &ArrowReaderMetadata) {
        let all_codes = has_only_codes(self.chunk(row_group, column));
        (self.leaves[column], if all_codes { &self.with_dictionaries } else { &self.with_views })
    }
}

/// The leaf that is column `name` as it stands.
fn leaf(own: &ArrowReaderMetadata, name: &str, data_type: &DataType) -> Option<usize> {
    let mut found = own.schema().fields().iter().enumerate().filter(|(_, field)| field.name() == name);
    let (root, field) = found.next()?;
    let is_string = |data_type| string_type(data_type).is_some();
    let same = field.data_type() == data_type || is_string(field.data_type()) && is_string(data_type);
    let descriptor = own.parquet_schema();
    let is_primitive = descriptor.root_schema().get_fields().get(root)?.is_primitive();
    if found.next().is_some() || !same || !is_primitive {
        return None;
    }
    let leaf = (0..descriptor.num_columns()).find(|leaf| descriptor.get_column_root_idx(*leaf) == root)?;
    (descriptor.column(leaf).max_rep_level() == 0).then_some(leaf)
}

/// Whether no page of a chunk has plain values.
fn has_only_codes(chunk: &ColumnChunkMetaData) -> bool {
    let is_code = |encoding: Encoding| matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    if chunk.dictionary_page_offset().is_none() {
        return false;
    }
    match (chunk.page_encoding_stats_mask(), chunk.page_encoding_stats()) {
        (Some(mask), _) => mask.encodings().all(is_code),
        (None, Some(pages)) => {
            use datafusion::parquet::basic::PageType;
            let is_data = |page: PageType| matches!(page, PageType::DATA_PAGE | PageType::DATA_PAGE_V2);
            pages.iter().filter(|page| is_data(page.page_type)).all(|page| is_code(page.encoding))
        }
        (None, None) => false,
    }
}

/// A reader of a file by way of a factory.
pub fn reader(
    factory: &Arc<dyn ParquetFileReaderFactory>,
    file: &PartitionedFile,
) -> Result<Box<dyn AsyncFileReader + Send>> {
    factory.create_reader(0, file.clone(), file.metadata_size_hint, &ExecutionPlanMetricsSet::new())
}

/// Whether readers read what is in the store, and nothing else: those that DataFusion makes do.
fn is_datafusions(factory: &Arc<dyn ParquetFileReaderFactory>) -> bool {
    /// The beginning of a text that may be long.
    struct Beginning(String);

    impl Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(text);
            if self.0.len() < 64 { Ok(()) } else { Err(fmt::Error) }
        }
    }

    let mut name = Beginning(String::new());
    let _ = write!(name, "{factory:?}");
    ["CachedParquetFileReaderFactory {", "DefaultParquetFileReaderFactory {"].iter().any(|own| name.0.starts_with(own))
}

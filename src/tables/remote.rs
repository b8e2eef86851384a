//! Tables at `s3://` and `http(s)://` URLs. The object store of a bucket or server is created when a path first references it, with
//! the credentials of the environment. Errors say how to fix the problem.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{exec_datafusion_err, plan_datafusion_err, plan_err};
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use url::Url;

use crate::tables::format::{FORMATS, extension};
use crate::tables::glob::{Pattern, is_pattern};
use crate::tables::listing::{Found, common_extension};
use crate::tables::local::escaped;

/// Number of retries if a server does not respond. They take a few seconds.
const RETRIES: usize = 4;
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Whether an endpoint may be http://.
const ALLOW_HTTP: AmazonS3ConfigKey = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);

/// Settings that enable signed requests. Without any of them requests are not signed, which suits public buckets. The metadata
/// service of EC2 instances is used only if the environment names it, because on other machines it takes long to fail.
const CREDENTIALS: &[AmazonS3ConfigKey] = &[
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::SecretAccessKey,
    AmazonS3ConfigKey::WebIdentityTokenFile,
    AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    AmazonS3ConfigKey::ContainerCredentialsFullUri,
    AmazonS3ConfigKey::MetadataEndpoint,
];

/// Makes object stores available to a session by URL.
pub fn install(builder: RuntimeEnvBuilder) -> RuntimeEnvBuilder {
    builder.with_object_store_registry(Arc::new(Stores::default()))
}

/// Returns whether a path is a URL of another machine.
pub fn is_url(path: &str) -> bool {
    path.split_once("://").is_some_and(|(scheme, _)| {
        scheme != "file" && !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
    })
}

/// DataFusion's registry, which creates missing object stores.
#[derive(Debug, Default)]
struct Stores {
    inner: DefaultObjectStoreRegistry,
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.inner.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.inner.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Ok(store) = self.inner.get_store(url) {
            return Ok(store);
        }
        let store = store_of(url, &HashMap::new())?;
        self.inner.register_store(url, Arc::clone(&store));
        Ok(store)
    }
}

/// Registers the object stores of these locations with the options of a statement, if it has any.
///
/// # Errors
/// If an option is unknown, or a location is not on S3.
pub fn prepare(env: &RuntimeEnv, locations: &[String], options: &HashMap<String, String>) -> Result<()> {
    if options.is_empty() {
        return Ok(());
    }
    for location in locations {
        let url = parse(location).ok().filter(is_s3);
        let url = url.ok_or_else(|| plan_datafusion_err!("aws.* options require s3:// locations, not {location}"))?;
        env.register_object_store(&url, store_of(&url, options)?);
    }
    Ok(())
}

/// Opens a file, folder or pattern in a bucket, or a file on a web server, as a table.
///
/// # Errors
/// If it does not exist or cannot be read. The message names the URL.
pub async fn open(state: &SessionState, name: &str) -> Result<ListingTable> {
    let url = parse(name)?;
    let opened =
        if is_s3(&url) { open_in_bucket(state, name, &url).await } else { open_on_web(state, name, &url).await };
    opened.map_err(|error| explain(name, error))
}

async fn open_on_web(state: &SessionState, name: &str, url: &Url) -> Result<ListingTable> {
    if url.query().is_some() || is_pattern(name) || name.ends_with('/') {
        return plan_err!(
            "{name} is not a file: files on a web server cannot be listed, so name one file, without a query string"
        );
    }
    let extension = extension(name).ok_or_else(|| no_format(name))?;
    // Check first that the file exists: otherwise the error would be that a web server cannot be listed.
    let store = state.runtime_env().object_store(ListingTableUrl::parse(name)?.object_store())?;
    store.head(&Path::from_url_path(url.path())?).await?;
    Found { name, urls: vec![ListingTableUrl::parse(name)?], extension, is_folder: false }.open(state).await
}

async fn open_in_bucket(state: &SessionState, name: &str, url: &Url) -> Result<ListingTable> {
    // Split the name by hand, because a key may contain characters with a meaning in URLs.
    let (bucket, key) = name.split_once("://").and_then(|(_, rest)| rest.split_once('/')).unwrap_or((name, ""));
    let root = format!("{}://{bucket}/", url.scheme());
    let store = state.runtime_env().object_store(ListingTableUrl::parse(&root)?.object_store())?;
    let url_of = |key: &str| ListingTableUrl::parse(format!("{root}{}", escaped(key)));

    if !is_pattern(key) && !key.ends_with('/') && !key.is_empty() {
        match store.head(&Path::parse(key)?).await {
            Ok(_) => {
                let extension = extension(key).ok_or_else(|| no_format(name))?;
                return Found { name, urls: vec![url_of(key)?], extension, is_folder: false }.open(state).await;
            }
            // It may be a folder. Whether the bucket exists shows only when it is listed.
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let is_folder = !is_pattern(key);
    let folder = match key.find(['*', '?', '[']) {
        Some(at) => key.get(..at).and_then(|head| head.rsplit_once('/')).map_or("", |(folder, _)| folder),
        None => key.trim_end_matches('/'),
    };
    let listed: Vec<_> = store.list(Some(&Path::parse(folder)?)).try_collect().await?;
    let keys: Vec<&str> = listed.iter().map(|file| file.location.as_ref()).collect();
    let pattern = Pattern::parse(key)?;
    let belongs = |key: &&str| {
        if extension(key).is_none() {
            return false;
        }
        let parts: Vec<&str> = key.split('/').collect();
        if !is_folder {
            return pattern.matches(&parts);
        }
        let below = parts.get(folder.split('/').filter(|part| !part.is_empty()).count()..).unwrap_or_default();
        below.split_last().is_some_and(|(_, folders)| folders.iter().all(|folder| folder.contains('=')))
    };
    let files: Vec<&str> = keys.iter().copied().filter(belongs).collect();
    if keys.is_empty() && is_folder {
        return Err(exec_datafusion_err!("there is no file or folder {name}"));
    }
    if files.is_empty() && !is_folder {
        return Err(exec_datafusion_err!("no {FORMATS} file matches {name}"));
    }
    let extension = common_extension(name, files.iter().filter_map(|key| extension(key)))?;
    let urls = if is_folder {
        vec![url_of(&format!("{folder}/"))?]
    } else {
        files.iter().map(|key| url_of(key)).collect::<Result<_>>()?
    };
    Found { name, urls, extension, is_folder }.open(state).await
}

fn no_format(name: &str) -> DataFusionError {
    plan_datafusion_err!("{name} is not a table: its name must end in {FORMATS}")
}

fn parse(location: &str) -> Result<Url> {
    let url = Url::parse(location).map_err(|error| plan_datafusion_err!("{location} is not a URL: {error}"))?;
    if !is_s3(&url) && !matches!(url.scheme(), "http" | "https") {
        return plan_err!("{location}: {}:// paths cannot be read, only s3://, http:// and https://", url.scheme());
    }
    match url.host_str() {
        Some(host) if !host.is_empty() => Ok(url),
        _ => plan_err!("{location} has no bucket or server name"),
    }
}

fn is_s3(url: &Url) -> bool {
    matches!(url.scheme(), "s3" | "s3a")
}

fn store_of(url: &Url, options: &HashMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    let backoff = BackoffConfig { max_backoff: LONGEST_WAIT, ..BackoffConfig::default() };
    let retry = RetryConfig { backoff, max_retries: RETRIES, ..RetryConfig::default() };
    match (url.scheme(), url.host_str()) {
        ("s3" | "s3a", Some(bucket)) => s3(bucket, options, retry),
        ("http" | "https", Some(_)) => {
            let server = &url[..url::Position::BeforePath];
            let client = ClientOptions::new().with_allow_http(true);
            let store = HttpBuilder::new().with_url(server).with_client_options(client).with_retry(retry).build()?;
            Ok(Arc::new(store))
        }
        (scheme, _) => plan_err!("{scheme}:// paths cannot be read or written, only s3://, http:// and https://"),
    }
}

fn s3(bucket: &str, options: &HashMap<String, String>, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
    for (name, value) in options {
        let key: AmazonS3ConfigKey = name.replace('.', "_").parse().map_err(|_| {
            plan_datafusion_err!(
                "{name} is not an option of s3://; examples of options: aws.access_key_id, aws.secret_access_key, \
                 aws.session_token, aws.region, aws.endpoint, aws.allow_http, aws.skip_signature"
            )
        })?;
        builder = builder.with_config(key, value);
    }
    let is_set = |key: &AmazonS3ConfigKey| builder.get_config_value(key).is_some();
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = endpoint.iter().find_map(|key| builder.get_config_value(key)).unwrap_or_default();
    let allowed = builder.get_config_value(&ALLOW_HTTP).unwrap_or_default().to_ascii_lowercase();
    if endpoint.starts_with("http://") && !["true", "1", "yes", "on", "t", "y"].contains(&allowed.as_str()) {
        return plan_err!(
            "the S3 endpoint {endpoint} is not encrypted; to use it anyway, set AWS_ALLOW_HTTP=true or add OPTIONS \
             ('aws.allow_http' 'true')"
        );
    }
    match (is_set(&AmazonS3ConfigKey::AccessKeyId), is_set(&AmazonS3ConfigKey::SecretAccessKey)) {
        (true, false) => return plan_err!("s3://{bucket}: AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"),
        (false, true) => return plan_err!("s3://{bucket}: AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not"),
        _ => {}
    }
    if !CREDENTIALS.iter().any(is_set) {
        builder = builder.with_skip_signature(true);
    }
    let store = builder.build().map_err(|error| DataFusionError::from(error).context(format!("s3://{bucket}")))?;
    Ok(Arc::new(store))
}

/// Translates an object store error into a message about `name` that says how to fix the problem.
pub fn explain(name: &str, error: DataFusionError) -> DataFusionError {
    let Some(cause) = store_error(&error) else { return error };
    let text = cause.to_string();
    let bucket = name.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    let is_s3 = name.starts_with("s3");
    match cause {
        _ if text.contains("NoSuchBucket") => {
            exec_datafusion_err!(
                "there is no bucket {bucket} (in {name}); check its name, and AWS_ENDPOINT if it is not Amazon's"
            )
        }
        object_store::Error::NotFound { .. } => exec_datafusion_err!("there is no file {name}"),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } if is_s3 => {
            let how = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or add OPTIONS ('aws.access_key_id' ..., \
                       'aws.secret_access_key' ...) to CREATE EXTERNAL TABLE";
            match std::env::var_os("AWS_ACCESS_KEY_ID") {
                None => exec_datafusion_err!("reading {name} requires credentials: {how}"),
                Some(_) => exec_datafusion_err!("these credentials do not allow reading {name}: {how}"),
            }
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            exec_datafusion_err!("the server requires a login to read {name}")
        }
        _ if text.contains("incorrectly configured region") => {
            exec_datafusion_err!(
                "the bucket {bucket} is in another region; set AWS_REGION, or add OPTIONS ('aws.region' ...)"
            )
        }
        _ => exec_datafusion_err!("cannot read {name}: {}", innermost(cause)),
    }
}

/// Returns the object store's own error, without wrappers.
fn store_error(error: &DataFusionError) -> Option<&object_store::Error> {
    match error {
        DataFusionError::ObjectStore(cause) => Some(cause),
        DataFusionError::Context(_, cause) | DataFusionError::Diagnostic(_, cause) => store_error(cause),
        DataFusionError::Shared(cause) => store_error(cause),
        DataFusionError::External(cause) => cause.downcast_ref::<object_store::Error>(),
        _ => None,
    }
}

/// Returns the last cause in the chain, which is the most specific: `Connection refused`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use url::Url;

    use crate::tables::remote::{is_url, parse, store_of};

    fn error(url: &str, options: &[(&str, &str)]) -> String {
        let options: HashMap<String, String> = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        store_of(&Url::parse(url).unwrap(), &options).unwrap_err().to_string()
    }

    #[test]
    fn urls_are_distinguished_from_paths() {
        for (path, expected) in [
            ("s3://b/x", true),
            ("https://h/x", true),
            ("gs://b/x", true),
            ("file:///x", false),
            ("a/b", false),
            ("a:b", false),
        ] {
            assert_eq!(is_url(path), expected, "{path}");
        }
        assert!(parse("gs://b/x.csv").unwrap_err().to_string().contains("gs:// paths cannot be read"));
        assert!(parse("s3:///x.csv").unwrap_err().to_string().contains("has no bucket"));
    }

    #[test]
    fn errors_of_invalid_options_say_what_is_valid() {
        assert!(error("s3://b", &[("aws.regoin", "x")]).contains("aws.regoin is not an option of s3://"));
        let open = error("s3://b", &[("aws.endpoint", "http://localhost:1")]);
        assert!(open.contains("http://localhost:1 is not encrypted") && open.contains("AWS_ALLOW_HTTP"), "{open}");
    }
}

//! Runs every example, so that none of them rots; each asserts its own rows. They are modules here, which saves a link
//! of DataFusion and XLA for each.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

#[allow(dead_code, reason = "an example's main is not called")]
#[path = "../examples/dataframe.rs"]
mod dataframe;
#[allow(dead_code, reason = "an example's main is not called")]
#[path = "../examples/embed.rs"]
mod embed;
#[allow(dead_code, reason = "an example's main is not called")]
#[path = "../examples/quickstart.rs"]
mod quickstart;

#[tokio::test]
async fn quickstart_runs() {
    quickstart::run().await.expect("the example runs");
}

#[tokio::test]
async fn embed_runs() {
    embed::run().await.expect("the example runs");
}

#[tokio::test]
async fn dataframe_runs() {
    dataframe::run().await.expect("the example runs");
}

/// A new example is added above.
#[test]
fn every_example_is_here() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of examples")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["dataframe.rs", "embed.rs", "quickstart.rs"]);
}

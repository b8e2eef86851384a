//! `s3://` and `http://` paths, against a server on the loopback interface that the tests start.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{CACHE, Ran, check_error, check_ok, command, finish};

const BUCKET: &str = "test-bucket";

/// An S3 server, which is a web server for what is public.
struct Server {
    child: Child,
    /// `127.0.0.1:1234`.
    address: String,
}

impl Server {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch-s3-server");
        let folder = Command::new("python3").arg(script).arg("--where").output().unwrap();
        let folder = String::from_utf8(folder.stdout).unwrap().trim().to_string();
        assert!(
            Path::new(&folder).is_dir(),
            "there is no S3 server in {folder}: run scripts/fetch-s3-server (make test does)"
        );
        let mut child = Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONPATH", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = log.find_map(|line| Some(line.split_once("Running on http://")?.1.trim().to_string()));
        // Read on, or the server would wait for room in the pipe.
        std::thread::spawn(move || log.for_each(drop));
        let server = Self { child, address: address.expect("the S3 server says where it is") };
        server.put(&format!("/{BUCKET}"), &[], "");
        server
    }

    fn put(&self, path: &str, body: &[u8], headers: &str) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head =
            format!("PUT {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {length}\r\n{headers}\r\n", self.address);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.lines().next().is_some_and(|line| line.contains(" 200 ")), "{answer}");
    }

    fn put_file(&self, key: &str, body: &[u8]) {
        self.put(&format!("/{BUCKET}/{key}"), body, "");
    }

    /// Runs a program that knows the server and its credentials by the environment.
    fn run(&self, sql: &str) -> Ran {
        let mut command = self.command(sql);
        command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "secret");
        finish(command.spawn().unwrap(), "")
    }

    /// Without credentials.
    fn command(&self, sql: &str) -> Command {
        let mut command = command(&CACHE, &["--empty", "--format", "csv", "-c", sql]);
        command.env("AWS_ENDPOINT", format!("http://{}", self.address)).env("AWS_ALLOW_HTTP", "true");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _is_gone = self.child.kill();
        let _is_gone = self.child.wait();
    }
}

fn nation() -> Vec<u8> {
    fs::read(CACHE.join("tpch/sf0.001/nation.parquet")).unwrap()
}

#[test]
fn buckets_are_read_and_written() {
    let server = Server::start();
    server.put_file("nation.parquet", &nation());
    for (key, text) in [
        ("parts/a%201.csv", "x\n1\n"),
        ("parts/b.csv", "x\n2\n"),
        ("parts/deep/c.csv", "x\n4\n"),
        ("days/day=1/x.csv", "x\n7\n"),
        ("days/day=2/x.csv", "x\n8\n"),
    ] {
        server.put_file(key, text.as_bytes());
    }
    for (from, out) in [
        ("parts/", "3\n"),
        ("parts", "3\n"),
        ("parts/*.csv", "3\n"),
        ("parts/a 1.csv", "1\n"),
        ("parts/**/*.csv", "7\n"),
        ("days/' WHERE day = '2", "8\n"),
    ] {
        check_ok(server.run(&format!("SELECT sum(x) AS x FROM 's3://{BUCKET}/{from}'")), &format!("x\n{out}"));
    }
    let query = format!("SELECT sum(n_nationkey) AS n FROM 's3://{BUCKET}/nation.parquet'");
    let cached = server.run(&format!("SET xla.placement = 'always'; {query}; {query}; SHOW CACHE"));
    let line = cached.out.lines().find(|line| line.contains("nation.parquet,n_nationkey,"));
    assert!(line.is_some_and(|line| line.ends_with(",1,false")), "{cached:?}");
    check_ok(server.run(&format!("SUMMARIZE SELECT n_regionkey FROM 's3://{BUCKET}/nation.parquet'")), &{
        let head = "column_name,column_type,min,max,approx_unique,avg,std,q25,q50,q75,count,null_percentage\n";
        format!("{head}n_regionkey,Int64,0,4,5,2.0,1.4433756729740645,1.0,2.0,3.0,25,0.0\n")
    });
    let written = format!("s3://{BUCKET}/out/a.parquet");
    check_ok(
        server.run(&format!("COPY (SELECT 5 AS five) TO '{written}' STORED AS PARQUET; FROM '{written}'")),
        "count\n1\nfive\n5\n",
    );

    // By options alone, for a table that stays.
    let options = format!(
        "'aws.endpoint' 'http://{}', 'aws.allow_http' 'true', 'aws.region' 'eu-west-1', 'aws.access_key_id' 'id', \
         'aws.secret_access_key' 'secret'",
        server.address
    );
    let table = |location: &str, options: &str| {
        format!(
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{location}' OPTIONS ({options}); SELECT count(*) AS n FROM t"
        )
    };
    let run = |sql: &str| finish(command(&CACHE, &["--empty", "--format", "csv", "-c", sql]).spawn().unwrap(), "");
    let nation = format!("s3://{BUCKET}/nation.parquet");
    check_ok(run(&table(&nation, &options)), "n\n25\n");
    check_error(run(&table(&nation, "'aws.regoin' 'x'")), &["aws.regoin is not an option of s3://"]);
    check_error(run(&table("x.parquet", &options)), &["aws.* options require s3:// locations, not x.parquet"]);
}

#[test]
fn a_bucket_that_cannot_be_read_is_one_line_that_helps() {
    let server = Server::start();
    server.put_file("nation.parquet", &nation());
    server.put_file("notes.txt", b"text");
    let nation = format!("s3://{BUCKET}/nation.parquet");
    for (path, part) in [
        (format!("s3://{BUCKET}/nope.csv"), format!("there is no file or folder s3://{BUCKET}/nope.csv")),
        (
            format!("s3://{BUCKET}/x*.csv"),
            format!("no .parquet, .csv, .json or .arrow file matches s3://{BUCKET}/x*.csv"),
        ),
        (format!("s3://{BUCKET}/notes.txt"), "notes.txt is not a table: its name must end in".to_string()),
        ("s3://no-such-bucket/x.csv".to_string(), "there is no bucket no-such-bucket".to_string()),
    ] {
        check_error(server.run(&format!("SELECT * FROM '{path}'")), &[&part]);
        let external = format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{path}'");
        if path.contains("bucket/x.csv") {
            check_error(server.run(&external), &["there is no bucket no-such-bucket"]);
        }
    }
    let sql = format!("SELECT * FROM '{nation}'");
    let unsigned = finish(server.command(&sql).spawn().unwrap(), "");
    check_error(unsigned, &[&format!("reading {nation} requires credentials: set AWS_ACCESS_KEY_ID")]);
    let half = finish(server.command(&sql).env("AWS_ACCESS_KEY_ID", "id").spawn().unwrap(), "");
    check_error(half, &["AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"]);
    let open = finish(server.command(&sql).env("AWS_ALLOW_HTTP", "false").spawn().unwrap(), "");
    check_error(open, &["is not encrypted; to use it anyway, set AWS_ALLOW_HTTP=true"]);
    let away = finish(server.command(&sql).env("AWS_ENDPOINT", "http://127.0.0.1:1").spawn().unwrap(), "");
    check_error(away, &[&format!("cannot read {nation}: "), "refused"]);
}

#[test]
fn files_of_a_web_server_are_read() {
    let server = Server::start();
    server.put(&format!("/{BUCKET}/nation.parquet"), &nation(), "x-amz-acl: public-read\r\n");
    server.put(&format!("/{BUCKET}/secret.csv"), b"x\n1\n", "");
    let url = |file: &str| format!("http://{}/{BUCKET}/{file}", server.address);
    let nation = url("nation.parquet");
    let run = |sql: &str| finish(command(&CACHE, &["--empty", "--format", "csv", "-c", sql]).spawn().unwrap(), "");
    check_ok(run(&format!("SELECT n_name FROM '{nation}' WHERE n_nationkey = 7")), "n_name\nGERMANY\n");
    let always = format!("SET xla.placement = 'always'; SELECT max(n_nationkey) AS n FROM '{nation}'");
    check_ok(run(&always), "n\n24\n");
    let external =
        format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{nation}'; SELECT count(*) AS n FROM t");
    check_ok(run(&external), "n\n25\n");
    for (file, part) in [
        ("nope.csv", "there is no file http://"),
        ("secret.csv", "the server requires a login to read http://"),
        ("", "files on a web server cannot be listed"),
        ("nation", "is not a table: its name must end in .parquet, .csv, .json or .arrow"),
    ] {
        check_error(run(&format!("SELECT * FROM '{}'", url(file))), &[part]);
    }
}

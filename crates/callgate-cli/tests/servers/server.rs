//! Servers of Debian, with a load for each that ends in an orderly stop.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{CALLGATE, NOBODY, Scratch, find, tool_for};

/// A server that can be started again and again.
pub struct Server<'s> {
    pub scratch: &'s Scratch,
    pub name: &'static str,
    pub command: Vec<String>,
    /// A script that makes every start like the first.
    prepare: String,
    /// A script that succeeds when the server answers.
    ready: String,
    /// A script that succeeds when all was answered as it should be, and has stopped the server.
    /// In it `main` prints the number of the server's first process.
    load: String,
    /// What `main` does where the server is not in a container.
    main: String,
}

/// Longest time that a server takes to answer or to stop.
const LIMIT: Duration = Duration::from_secs(20);

impl<'s> Server<'s> {
    pub fn nginx(scratch: &'s Scratch) -> Option<Server<'s>> {
        let tools = [("nginx", "nginx"), ("ab", "apache2-utils"), ("curl", "curl")];
        tools.iter().all(|(tool, package)| tool_for(tool, package, "nginx")).then_some(())?;
        let (port, folder) = (free_port(), scratch.path().display());
        scratch.file(
            "nginx.conf",
            format!(
                "daemon off; worker_processes 2; pid {folder}/pid; error_log stderr warn;
                 events {{ worker_connections 256; }}
                 http {{
                     access_log {folder}/access;
                     client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
                     fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
                     scgi_temp_path {folder}/t5; sendfile on;
                     server {{
                         listen 127.0.0.1:{port}; root {folder}/www;
                         location /by-proxy/ {{ proxy_pass http://127.0.0.1:{port}/; }}
                     }}
                 }}"
            ),
        );
        fs::create_dir(scratch.join("www")).expect("the folder takes a folder");
        scratch.file("www/page", "a page".repeat(5000));
        let conf = format!("{folder}/nginx.conf");
        Some(Server {
            scratch,
            name: "nginx",
            command: vec!["nginx".into(), "-c".into(), conf],
            prepare: "rm -rf t? access".into(),
            ready: format!("curl -sfm 5 -o /dev/null http://127.0.0.1:{port}/page"),
            load: format!(
                "{}{}test $(curl -so /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/none) = 404
                 kill -HUP $(main); sleep 0.3
                 curl -sfo /dev/null http://127.0.0.1:{port}/page
                 kill -QUIT $(main)",
                requests(port, "page"),
                requests(port, "by-proxy/page"),
            ),
            main: "cat pid".into(),
        })
    }

    pub fn redis(scratch: &'s Scratch) -> Option<Server<'s>> {
        let tools = [("redis-server", "redis-server"), ("redis-benchmark", "redis-tools")];
        tools.iter().all(|(tool, package)| tool_for(tool, package, "redis")).then_some(())?;
        let socket = scratch.join("socket").display().to_string();
        let arguments = format!(
            "redis-server --unixsocket {socket} --port 0 --dir {} --appendonly yes \
             --appendfsync everysec --save",
            scratch.path().display()
        );
        let mut command = words(&arguments);
        command.push(String::new());
        // Each save is waited for: an old child in the way would make the next another one.
        let saved = "while redis-cli -s socket info persistence | \
                     grep -q 'in_progress:1'; do sleep 0.05; done";
        Some(Server {
            scratch,
            name: "redis",
            command,
            prepare: "rm -rf appendonlydir dump.rdb socket".into(),
            ready: "redis-cli -s socket ping | grep -q PONG".into(),
            load: format!(
                "redis-benchmark -s socket -n 400 -c 8 -q -t ping,set,get,lpush,lrange_100,mset
                 redis-cli -s socket bgsave | grep -q started; {saved}
                 redis-cli -s socket bgrewriteaof | grep -q started; {saved}
                 redis-cli -s socket info persistence | grep -q last_bgsave_status:ok
                 redis-cli -s socket info persistence | grep -q last_bgrewrite_status:ok
                 sleep 1.2
                 test $(redis-cli -s socket set key value) = OK
                 test $(redis-cli -s socket eval 'return 1+1' 0) = 2
                 redis-cli -s socket shutdown"
            ),
            main: "false".into(),
        })
    }

    pub fn postgresql(scratch: &'s Scratch) -> Option<Server<'s>> {
        if !tool_for("pgbench", "postgresql", "PostgreSQL") {
            return None;
        }
        let programs = newest_postgresql()?.display().to_string();
        let folder = scratch.path().display().to_string();
        let user = format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --");
        // A cluster with its tables, of which every run gets a copy.
        let make = format!(
            "{user} {programs}/initdb -D {folder}/cluster -A trust -U owner --no-sync >/dev/null"
        );
        scratch.command("sh").args(&["-ec", &make]).run().is(0, "", "");
        let command = words(&format!(
            "{user} {programs}/postgres -D {folder}/data -k {folder} -c listen_addresses="
        ));
        let to = format!("-h {folder} -U owner");
        Some(Server {
            scratch,
            name: "PostgreSQL",
            command,
            prepare: "rm -rf data; cp -a cluster data".into(),
            ready: format!("psql {to} -c 'select 1' postgres"),
            load: format!(
                "pgbench {to} -i -q postgres
                 pgbench {to} -c 4 -t 25 postgres | grep -q 'processed: 100/100'
                 psql {to} -c 'vacuum analyze' -c checkpoint postgres
                 # Whether the load alone needs another file for its log is chance.
                 for n in 1 2 3; do
                     psql {to} -c 'select pg_switch_wal()' -c \"create table t$n()\" postgres
                 done
                 kill -INT $(main)"
            ),
            main: "head -n 1 data/postmaster.pid".into(),
        })
    }

    pub fn python(scratch: &'s Scratch) -> Option<Server<'s>> {
        let python = "/usr/bin/python3";
        let program = "import http.server as h, sys, threading\n\
             class H(h.SimpleHTTPRequestHandler):\n\
             \x20   def log_message(self, *words): pass\n\
             \x20   def do_POST(self):\n\
             \x20       self.send_response(204); self.end_headers()\n\
             \x20       threading.Thread(target=server.shutdown).start()\n\
             server = h.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), H)\n\
             server.serve_forever()\n";
        Server::script(scratch, "Python", python, ("server.py", program))
    }

    pub fn node(scratch: &'s Scratch) -> Option<Server<'s>> {
        let program = "const http = require('http'), fs = require('fs');\n\
             const server = http.createServer((request, response) => {\n\
             \x20 if (request.method === 'POST') { response.end(); server.close(); server.closeAllConnections(); return; }\n\
             \x20 fs.readFile('page', (error, data) => response.end(data));\n\
             });\n\
             server.listen(Number(process.argv[2]), '127.0.0.1');\n";
        Server::script(scratch, "Node", "node", ("server.js", program))
    }

    /// An HTTP server of a few lines, which stops when something is posted.
    fn script(
        scratch: &'s Scratch,
        name: &'static str,
        interpreter: &str,
        (file, text): (&str, &str),
    ) -> Option<Server<'s>> {
        let package = if interpreter == "node" { "nodejs" } else { "python3" };
        let tools = [(interpreter, package), ("ab", "apache2-utils"), ("curl", "curl")];
        tools.iter().all(|(tool, package)| tool_for(tool, package, name)).then_some(())?;
        scratch.file(file, text);
        scratch.file("page", "a page".repeat(5000));
        let port = free_port();
        Some(Server {
            scratch,
            name,
            command: vec![interpreter.into(), file.into(), port.to_string()],
            prepare: "rm -rf __pycache__".into(),
            ready: format!("curl -sfm 5 -o /dev/null http://127.0.0.1:{port}/page"),
            load: format!(
                "{}curl -sf -X POST http://127.0.0.1:{port}/stop || test $? = 52",
                requests(port, "page")
            ),
            main: "false".into(),
        })
    }

    /// Runs callgate with the server as its command, under load.
    #[track_caller]
    pub fn runs_well(&self, args: &[&str]) {
        if let Err(why) = self.run(args) {
            panic!("{}: callgate {args:?}: {why}", self.name);
        }
    }

    /// As [`Server::runs_well`]; what went wrong.
    pub fn run(&self, args: &[&str]) -> Result<(), String> {
        self.under(CALLGATE, args)
    }

    fn under(&self, program: &str, args: &[&str]) -> Result<(), String> {
        self.prepare()?;
        // What a killed PostgreSQL leaves of System V's shared memory goes with the namespace; the
        // next one would find it, and make calls that no run before it made.
        let mut command = Command::new("unshare");
        command.args(["--ipc", "--", program]).args(args).args(&self.command);
        let child = self.start(&mut command);
        self.serve(child, || self.main.clone())
    }

    /// Makes the next start like the first.
    pub fn prepare(&self) -> Result<(), String> {
        self.sh(&self.prepare)
    }

    /// Starts a program in the server's folder, in a group of its own, with its output in the log.
    pub fn start(&self, command: &mut Command) -> Child {
        let file = File::create(self.scratch.join("log")).expect("the folder takes a file");
        command
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("descriptors are free"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// The load, for a server that was started; `child` ends with it. `main` is asked once the
    /// server answers.
    pub fn serve(&self, mut child: Child, main: impl Fn() -> String) -> Result<(), String> {
        let begin = Instant::now();
        let mut result = loop {
            match self.sh(&self.ready) {
                Ok(()) => break self.sh(&format!("main() {{ {}; }}\n{}", main(), self.load)),
                Err(why) if begin.elapsed() > LIMIT => break Err(why),
                Err(why) if self.tells_of_a_kill() => break Err(why),
                Err(_) if child.try_wait().expect("it is our child").is_some() => {
                    break Err("it ended before it answered".to_owned());
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        };
        let begin = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().expect("it is our child") {
                break Some(status);
            }
            if result.is_err() || begin.elapsed() > LIMIT {
                break None;
            }
            thread::sleep(Duration::from_millis(20));
        };
        // What did not end.
        let group = format!("kill -KILL -{} 2>/dev/null || true", child.id());
        self.sh(&group)?;
        child.wait().expect("it is our child");
        if result.is_ok() && !ended.is_some_and(|status| status.success()) {
            result = Err(format!("it ended with {ended:?}"));
        }
        if result.is_ok() && self.tells_of_a_kill() {
            result = Err("one of its processes was killed".to_owned());
        }
        result.map_err(|why| format!("{why}\n{}", self.log()))
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&self.scratch.read("log")).into_owned()
    }

    /// Whether the server tells of a child that was killed by SIGSYS, which is 31.
    fn tells_of_a_kill(&self) -> bool {
        let log = self.log();
        log.contains("signal 31") || log.contains("Bad system call")
    }

    fn sh(&self, script: &str) -> Result<(), String> {
        // Each line has to succeed; a client that hangs on a dead server does not hang for ever.
        let outcome = self.scratch.command("timeout").args(&["30", "sh", "-ec", script]).run();
        if outcome.status == 0 {
            return Ok(());
        }
        Err(format!("status {}: {}{}", outcome.status, outcome.stdout, outcome.stderr))
    }
}

/// Many requests, all of which are answered with a page.
fn requests(port: u16, path: &str) -> String {
    format!(
        "ab -q -n 200 -c 8 http://127.0.0.1:{port}/{path} >requests
         grep -q 'Complete requests: *200$' requests
         grep -q 'Failed requests: *0$' requests
         if grep -q Non-2xx requests; then exit 1; fi\n"
    )
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

/// The folder of the newest PostgreSQL's programs, which Debian keeps out of PATH.
fn newest_postgresql() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    folders.filter(|folder| folder.join("initdb").is_file()).max().or_else(|| {
        let initdb = find("initdb");
        initdb.and_then(|path| path.parent().map(PathBuf::from))
    })
}

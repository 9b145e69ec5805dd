//! A person's shell, in a directory of its own: with the programs of this build, and stand-ins for what would build, need root
//! or another machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::documents::page::{Shown, root};
use crate::town::free_address;

/// The roles, whose programs are `wattveil` under their names.
const ROLES: [&str; 4] = ["meter-agent", "aggregator-worker", "utility-sink", "broker"];

/// Copies go nowhere: what is copied has to be there, and what it is copied to has to name a machine.
const SCP: &str = r#"[[ ${*: -1} == *:* ]] && ls -d "${@:2:$#-2}""#;

/// What is installed has to be what `.ci/run` installs.
const APT_GET: &str = r#"[ "$1" = install ] && for package in "${@:2}"; do grep -q "\b$package\b" "$WORKSPACE/.ci/run" || exit; done"#;

/// An environment installs nothing and runs no script: what it would run has to be Python, as far as there is one to say so.
const PYTHON: &str = r#"[ "$1 $2" = "-m venv" ] && mkdir -p "$3/bin" && cd "$3/bin" && printf '#!/bin/sh\n' > pip && cat > python <<'END'
#!/bin/sh
PATH=/usr/bin:/usr/local/bin
command -v python3 > /dev/null || exec test -s "$1"
exec python3 -c "import ast; ast.parse(open('$1').read())"
END
chmod +x pip python"#;

/// A directory and what is typed in it.
pub(crate) struct Shell {
    home: TempDir,
    programs: TempDir,
}

impl Shell {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        let shell = Self { home: tempfile::tempdir().unwrap(), programs: tempfile::tempdir().unwrap() };
        // an aggregator gathers receipts for two seconds, for which nobody needs to wait here
        shell.program(
            "wattveil",
            &format!(
                "[ \"$1\" = aggregator-worker ] && export WATTVEIL_PACE__RECEIPT_EVERY=100ms\nexec {} \"$@\"",
                env!("CARGO_BIN_EXE_wattveil")
            ),
        );
        for role in ROLES {
            shell.program(role, &format!("exec wattveil {role} \"$@\""));
        }
        shell.program("scp", SCP);
        shell.program("apt-get", APT_GET);
        shell.program("python3", PYTHON);
        let cargo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes/documents/cargo");
        symlink(cargo, shell.programs.path().join("cargo")).unwrap();
        shell
    }

    /// A directory in which the repository's files are.
    pub(crate) fn in_repository() -> Self {
        let shell = Self::new();
        for entry in fs::read_dir(root()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "target" {
                symlink(entry.path(), shell.home.path().join(entry.file_name())).unwrap();
            }
        }
        shell
    }

    /// A town of which nothing runs, in the directory `town`.
    pub(crate) fn with_town(more: &str) -> Self {
        let shell = Self::new();
        shell.says(&format!("init town --meters a,b --broker {} {more}", free_address()));
        shell
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.programs.path().join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Where it is.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The text of a file in it.
    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A program with arguments, in the directory.
    fn command(&self, program: &str) -> Command {
        let built = Path::new(env!("CARGO_BIN_EXE_wattveil")).parent().expect("it is in a directory");
        let path = format!("{}:{}", self.programs.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command
            .current_dir(self.home())
            .env("PATH", path)
            .env("NO_COLOR", "1")
            .env("WORKSPACE", root())
            .env("BUILT", built)
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        command
    }

    fn wattveil(&self, line: &str) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_wattveil"));
        command.args(line.split_whitespace()).output().expect("it can be run")
    }

    /// What `wattveil` prints, which has to succeed.
    #[track_caller]
    pub(crate) fn says(&self, line: &str) -> String {
        succeeded(&format!("wattveil {line}"), &self.wattveil(line))
    }

    /// `wattveil` has to fail, and what it prints has all of `words`.
    #[track_caller]
    pub(crate) fn refuses(&self, line: &str, words: &[&str]) {
        let output = self.wattveil(line);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(!output.status.success() && !text.contains("panicked"), "wattveil {line}\n{text}");
        for word in words {
            assert!(text.contains(word), "wattveil {line}\nlacks `{word}`:\n{text}");
        }
    }

    /// Runs lines of a shell to their end, and gives what they printed; whatever they left in the background is killed.
    #[track_caller]
    pub(crate) fn run(&self, lines: &str) -> String {
        // a person looks whether a process is up before the next line; here the line is tried again
        let script = format!(
            "set -u\ntrap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n\
            again() {{ for _ in $(seq 100); do if (eval \"$1\"); then return; fi; sleep 0.2; done; return 1; }}\n\
            {lines}\n"
        );
        succeeded(lines, &self.command("bash").args(["-c", &script]).output().expect("bash can be run"))
    }

    /// Runs a document's commands as they stand there, one after another, with the broker here; a line that ends in `&` goes
    /// on in the background, one that checks is tried until all is well, and every other has to succeed.
    #[track_caller]
    pub(crate) fn walk(&self, commands: &[Shown]) -> String {
        let here = free_address().to_string();
        let lines = commands.iter().map(|shown| {
            let command = shown.text.replace("broker.example.org:8883", &here);
            if command.ends_with('&') {
                return command;
            }
            let failed = format!("{{ echo 'failed: {}'; exit 1; }}", shown.to_string().replace('\'', ""));
            if command.contains("check") {
                format!("again '{command}' || {failed}")
            } else {
                format!("{} || {failed}", without_comment(&command))
            }
        });
        self.run(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// The command, of which the rest of the line is no part.
pub(crate) fn without_comment(command: &str) -> &str {
    command.split(" # ").next().expect("there is a first piece").trim()
}

#[track_caller]
fn succeeded(line: &str, output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{line}\n{out}\n{err}");
    out.into_owned()
}

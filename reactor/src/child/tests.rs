use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::*;

/// Far above what any of these needs, far below what a test may hang.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);
const MANY: Output = Output::Keep {
    bytes_max: 1_000_000,
};

fn shell(script: &str) -> Program {
    Program {
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        directory: "/".into(),
        input: Vec::new(),
        time_max: LONG,
        stdout: MANY,
        stderr: MANY,
    }
}

fn finish(program: &Program) -> (Finished, Duration) {
    let start = Instant::now();
    let finished = run(program, &mut |_, _| panic!("nothing is passed on"));
    (finished, start.elapsed())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn codes_and_signals_are_told() {
    let (finished, _) = finish(&shell("echo out; echo err >&2; exit 7"));
    assert!(matches!(finished.end, End::Exited(7)), "{finished:?}");
    assert_eq!(text(&finished.stdout), "out\n");
    assert_eq!(text(&finished.stderr), "err\n");
    let (finished, _) = finish(&shell("kill -TERM $$"));
    assert!(
        matches!(finished.end, End::Signalled(libc::SIGTERM)),
        "{finished:?}"
    );
}

#[test]
fn a_missing_program_does_not_start() {
    for path in ["/nonexistent/program", "/etc/passwd", "/"] {
        let program = Program {
            path: path.into(),
            ..shell("")
        };
        let (finished, _) = finish(&program);
        assert!(
            matches!(finished.end, End::FailedToStart(_)),
            "{finished:?}"
        );
    }
}

#[test]
fn input_is_fed_while_output_is_read() {
    let input: Vec<u8> = (0..500_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    let program = Program {
        input: input.clone(),
        ..shell("cat; echo done >&2")
    };
    let (finished, _) = finish(&program);
    assert!(matches!(finished.end, End::Exited(0)));
    assert_eq!(finished.stdout, input);
    assert_eq!(text(&finished.stderr), "done\n");
}

#[test]
fn a_program_need_not_read_its_input() {
    let program = Program {
        input: vec![b'x'; 1_000_000],
        ..shell("exec <&-; echo fine")
    };
    let (finished, _) = finish(&program);
    assert!(matches!(finished.end, End::Exited(0)), "{finished:?}");
    assert_eq!(text(&finished.stdout), "fine\n");
    // Without any, it finds the end at once.
    let (finished, _) = finish(&shell("cat; echo over"));
    assert_eq!(text(&finished.stdout), "over\n");
}

/// Whether a process of this number is there and not a zombie. The killed leave for init, which takes a moment.
fn await_gone(pid: &str) {
    let start = Instant::now();
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    while let Ok(text) = std::fs::read_to_string(&stat) {
        if text.contains(") Z ") || text.contains(") X ") {
            return;
        }
        assert!(start.elapsed() < LONG, "{pid} lives");
        std::thread::yield_now();
    }
}

#[test]
fn one_that_hangs_is_killed_with_all_it_started() {
    let program = Program {
        time_max: SHORT,
        ..shell("trap '' TERM HUP; sleep 1000 & echo $!; echo $$; wait")
    };
    let (finished, took) = finish(&program);
    assert!(matches!(finished.end, End::TimedOut(SHORT)), "{finished:?}");
    assert!(took >= SHORT && took < DEATH_MAX, "{took:?}");
    let pids = text(&finished.stdout);
    assert_eq!(pids.lines().count(), 2);
    pids.lines().for_each(await_gone);
}

#[test]
fn a_grandchild_with_the_pipes_holds_nobody_up() {
    // It even left the group.
    let script = "setsid sleep 1000 & echo $!; echo 'last words'";
    let (finished, took) = finish(&shell(script));
    assert!(matches!(finished.end, End::Exited(0)), "{finished:?}");
    assert!(took < LONG / 2, "{took:?}");
    let said = text(&finished.stdout);
    assert!(said.ends_with("last words\n"), "{said}");
    let pid = said.lines().next().unwrap();
    // What a program leaves running when it ends by itself is left alone.
    let alive = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(!alive.contains(") Z "), "{alive}");
    let (killed, _) = finish(&shell(&format!("kill -9 {pid}")));
    assert!(matches!(killed.end, End::Exited(0)), "{killed:?}");
}

#[test]
fn too_much_output_ends_a_program() {
    for (redirect, stream) in [("", Stream::Stdout), (">&2", Stream::Stderr)] {
        let program = Program {
            stdout: Output::Keep { bytes_max: 10_000 },
            stderr: Output::Keep { bytes_max: 10_000 },
            ..shell(&format!(
                "while :; do echo 0123456789abcdef; done {redirect}"
            ))
        };
        let (finished, _) = finish(&program);
        match finished.end {
            End::OutputTooLarge {
                stream: which,
                bytes_max: 10_000,
            } => assert_eq!(which, stream),
            end => panic!("{end:?}"),
        }
        assert_eq!(finished.stdout.len() + finished.stderr.len(), 10_000);
    }
    // Exactly as much as it may is not too much.
    let program = Program {
        stdout: Output::Keep { bytes_max: 4 },
        ..shell("printf 1234")
    };
    assert!(matches!(finish(&program).0.end, End::Exited(0)));
}

#[test]
fn lines_are_passed_on_and_not_kept() {
    let program = Program {
        stdout: Output::Lines { bytes_max: 100_000 },
        stderr: Output::Lines { bytes_max: 100_000 },
        ..shell(
            "echo a; echo; head -c 9000 /dev/zero | tr '\\0' x; echo; echo e >&2; printf 'no end'",
        )
    };
    let mut lines = Vec::new();
    let finished = run(&program, &mut |stream, line| {
        lines.push((stream, text(line).to_owned()));
    });
    assert!(matches!(finished.end, End::Exited(0)));
    assert!(finished.stdout.is_empty() && finished.stderr.is_empty());
    let (errors, lines): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|(stream, _)| *stream == Stream::Stderr);
    assert_eq!(errors, [(Stream::Stderr, "e".to_owned())]);
    let lengths: Vec<_> = lines.iter().map(|(_, line)| line.len()).collect();
    assert_eq!(lengths, [1, 0, 4096, 4096, 808, 6]);
}

#[test]
fn nothing_of_ours_is_inherited() {
    // A descriptor without CLOEXEC, an ignored signal and a blocked one.
    let open = File::open("/dev/null").unwrap();
    let fd = open.as_raw_fd();
    // SAFETY: the call takes integers only.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }, 0);
    // SAFETY: no code of ours is installed; nothing in this process sends the signal.
    unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
    let signals = std::thread::spawn(|| {
        crate::signal::Signals::block().unwrap();
        let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; env; pwd";
        let (finished, _) = finish(&shell(script));
        text(&finished.stdout).to_owned()
    });
    let said = signals.join().unwrap();
    assert!(said.contains("SigBlk:\t0000000000000000"), "{said}");
    let ignored = said.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.unwrap(), 16).unwrap();
    // The C library keeps 32 and 33 for itself, so whatever we inherited stays.
    assert_eq!(ignored & !(0b11 << 31), 0, "{said}");
    // The shell's three, and the folder that `ls` reads.
    assert!(said.contains("\n0\n1\n2\n3\n"), "{said}");
    assert!(!said.contains("\n4\n"), "{said}");
    let environment: Vec<_> = said.lines().filter(|line| line.contains('=')).collect();
    let is_given = |line: &&str| {
        ["PATH=", "PWD=", "_=", "SHLVL=", "OLDPWD="]
            .iter()
            .any(|own| line.starts_with(own))
    };
    assert!(environment.iter().all(is_given), "{environment:?}");
    assert!(said.ends_with("/\n"), "{said}");
}

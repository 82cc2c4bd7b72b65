//! What does it cost to read an operation of a client?
//!
//! The input is what a busy connection sends: a run of operations of one kind in one buffer of about 64 KiB, as a read brings it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use muster_wire::client_op::{Step, next_client_op};
use muster_wire::encode::{put_hpub, put_ping, put_pub, put_sub};
use muster_wire::limits::Limits;

const BUFFER: usize = 64 * 1024;

fn fill(mut put: impl FnMut(&mut Vec<u8>)) -> Vec<u8> {
    let mut buffer = Vec::new();
    while buffer.len() < BUFFER {
        put(&mut buffer);
    }
    buffer
}

fn inputs() -> [(&'static str, Vec<u8>); 5] {
    let subject = b"mcollective.reply.37bdf08389145a56c13096c178802d3b.5e1d2c3b4a59687786";
    let mut sid = 0;
    [
        (
            "pub 16 B",
            fill(|out| put_pub(out, b"feed.one", None, &[b'x'; 16])),
        ),
        (
            "pub 1 KiB",
            fill(|out| put_pub(out, subject, Some(b"_INBOX.a.1"), &[b'x'; 1024])),
        ),
        (
            "hpub",
            fill(|out| put_hpub(out, b"a", None, b"NATS/1.0\r\nK: v\r\n\r\n", &[b'x'; 64])),
        ),
        (
            "sub",
            fill(|out| {
                sid += 1;
                put_sub(out, subject, None, sid);
            }),
        ),
        ("ping", fill(put_ping)),
    ]
}

fn parser(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("parser");
    for (name, buffer) in inputs() {
        let count = read_all(&buffer, &limits);
        group.throughput(Throughput::Elements(count));
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &buffer,
            |bencher, buffer| {
                bencher.iter(|| read_all(black_box(buffer), &limits));
            },
        );
    }
    group.finish();
}

fn read_all(buffer: &[u8], limits: &Limits) -> u64 {
    let (mut used, mut count) = (0, 0);
    while let Ok(Step::Op { op, len }) = next_client_op(&buffer[used..], limits) {
        black_box(op);
        used += len;
        count += 1;
    }
    assert_eq!(used, buffer.len());
    count
}

criterion_group!(benches, parser);
criterion_main!(benches);

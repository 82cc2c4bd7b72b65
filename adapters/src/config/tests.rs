use super::*;

fn read(text: &str) -> Result<AdaptersConfig, String> {
    let settings = Settings::parse(text, "broker.conf");
    AdaptersConfig::read(&settings).map_err(|errors| errors.to_string())
}

#[test]
fn a_file_of_today_is_understood() {
    let config = read(
        "identity = b1\nplugin.choria.adapters = reg, disc\n\
         plugin.choria.adapter.reg.type = choria_streams\n\
         plugin.choria.adapter.reg.stream.servers = s1:4222, nats://s2:4223\n\
         plugin.choria.adapter.reg.stream.topic = js.in.registration.%s\n\
         plugin.choria.adapter.reg.ingest.topic = mcollective.broadcast.agent.registration\n\
         plugin.choria.adapter.reg.ingest.protocol = request\n\
         plugin.choria.adapter.disc.stream.type = jetstream\n\
         plugin.choria.adapter.disc.ingest.topic = c.reply.async\n\
         plugin.choria.adapter.disc.queue_len = 50\n",
    )
    .unwrap();
    let [reg, disc] = &config.adapters[..] else {
        panic!("{config:?}");
    };
    assert_eq!((reg.kind, disc.kind), (Kind::Request, Kind::Reply));
    assert_eq!(reg.topic.as_str(), "js.in.registration.%s");
    assert_eq!(disc.topic.as_str(), "disc");
    assert_eq!((reg.queue_len, disc.queue_len), (1000, 50));
    assert_eq!(disc.protocol, "jetstream");
    let SinkConfig::JetStream(stream) = &reg.sink else {
        panic!("{reg:?}");
    };
    assert_eq!(
        stream.servers,
        [ServerAddr::new("s1", 4222), ServerAddr::new("s2", 4223)]
    );
    assert!(stream.ack && reg.spill.is_none() && reg.limit.is_none());
}

#[test]
fn extensions_are_read() {
    let config = read(
        "plugin.choria.adapters = a\nplugin.choria.adapters.a.type = file\n\
         plugin.choria.adapter.a.file.directory = /var/lib/f\n\
         plugin.choria.adapter.a.ingest.topic = x\n\
         plugin.choria.adapter.a.filter = sender == \"n1\"\n\
         plugin.choria.adapter.a.inspect = sender\nplugin.choria.adapter.a.age = 2h\n\
         plugin.choria.adapter.a.spill.directory = /var/spool/m\n",
    )
    .unwrap();
    let adapter = &config.adapters[0];
    assert!(adapter.filter.is_some());
    let limit = adapter.limit.as_ref().unwrap();
    assert_eq!(limit.rules.age, Duration::from_secs(7200));
    let spill = adapter.spill.as_ref().unwrap();
    assert_eq!(spill.directory, PathBuf::from("/var/spool/m/a"));
    assert_eq!(spill.bytes_max, 1 << 30);
}

#[test]
fn every_problem_is_named_with_its_line() {
    let text = read(
        "plugin.choria.adapters = a, b, c/d, a, e\n\
         plugin.choria.adapter.a.type = nats_stream\n\
         plugin.choria.adapter.b.type = choria_streams\n\
         plugin.choria.adapter.b.ack = false\n\
         plugin.choria.adapter.b.spill.directory = /s\n\
         plugin.choria.adapter.b.filter = sender ==\n\
         plugin.choria.adapter.b.age = 5\n\
         plugin.choria.adapter.b.stream.servers = nowhere\n\
         plugin.choria.adapter.e.type = stan\n",
    )
    .unwrap_err();
    for wanted in [
        "broker.conf:1: plugin.choria.adapters",
        "c/d",
        "broker.conf:2: plugin.choria.adapter.a.type",
        "gave up",
        "broker.conf:4: plugin.choria.adapter.b.ack",
        "broker.conf:6: plugin.choria.adapter.b.filter",
        "broker.conf:7: plugin.choria.adapter.b.age",
        "broker.conf:8: plugin.choria.adapter.b.stream.servers",
        "plugin.choria.adapter.b.ingest.topic",
        "broker.conf:9: plugin.choria.adapter.e.type",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
}

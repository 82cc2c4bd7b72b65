//! INFO and CONNECT of a route: no panic, and what was read comes out of a writing and a reading the same.

use muster_wire::route_info::{RouteConnect, RouteInfo, put_route_connect, put_route_info};

pub(crate) fn run(data: &[u8]) {
    if let Ok(info) = RouteInfo::parse(data) {
        let mut line = Vec::new();
        put_route_info(&mut line, &info);
        let json = line.strip_prefix(b"INFO ").expect("an INFO was written");
        assert_eq!(RouteInfo::parse(json), Ok(info));
    }
    if let Ok(connect) = RouteConnect::parse(data) {
        let mut line = Vec::new();
        put_route_connect(&mut line, &connect);
        let json = line
            .strip_prefix(b"CONNECT ")
            .expect("a CONNECT was written");
        let connect = RouteConnect {
            lang: None,
            ..connect
        };
        assert_eq!(RouteConnect::parse(json), Ok(connect));
    }
}

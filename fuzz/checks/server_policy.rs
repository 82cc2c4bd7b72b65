//! Any text is a policy: what can not be read is warned of at a line within it, and never allows.

use muster_protocol::filter::FactsView;
use muster_server::policy::{CallContext, Decision, Effect, Groups, Policy};

const FACTS: &str = r#"{"country":"mt","os":{"family":"Debian","release":12}}"#;
const CALLERS: [&str; 3] = ["choria=rip.mcollective", "up=guest", ""];
const ACTIONS: [&str; 2] = ["status", "restart"];

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (groups, group_warnings) = Groups::parse(&text, "groups");
    let (policy, warnings) = Policy::parse(&text, "fuzz.policy");
    let lines = text.split('\n').count();
    for warning in warnings.iter().chain(&group_warnings) {
        assert!((1..=lines).contains(&usize::try_from(warning.line).expect("a line")));
    }
    // Without a line that allows nothing is allowed.
    let may_allow =
        text.lines().any(|line| line.starts_with("allow\t")) || text.contains("default");
    let classes = ["apache".to_owned(), "role::web".to_owned()];
    for caller in CALLERS {
        for action in ACTIONS {
            let call = CallContext {
                caller,
                agent: "service",
                action,
                facts: FactsView::from_checked(FACTS),
                classes: &classes,
            };
            let decision = policy.decide(&call, &groups);
            assert_eq!(policy.decide(&call, &groups), decision);
            assert!(may_allow || decision != Decision::Allow);
            // A default only fills in where the policy has none.
            let lenient = policy.clone().with_default(Effect::Allow);
            assert!(decision != Decision::Allow || lenient.decide(&call, &groups) == decision);
        }
    }
}

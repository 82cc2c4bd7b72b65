//! The trie of wildcard subjects.
//!
//! `a.*.c` is the path root → `a` → pwc → `c`, with its leaf in the last node; `a.>` is the leaf
//! `fwc` in the node of `a`. Literal subjects are not here: they need no walk.
//!
//! Nodes lie in an arena and name each other by number. Peers choose the depth of the trie, so
//! nothing here recurses, not even to free it. Removal prunes the nodes that became empty.
//!
//! A node is 56 bytes; one reached by a literal token costs 25 more at a load of 0.44 to 0.88, and
//! its token. A leaf is 48 and an [`Interest`](super::Interest). All in all `_INBOX.<id>.*` costs some 350 bytes.

use std::ops::ControlFlow;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use super::interest::Interest;
use super::leaf::{Inserted, Item, Leaf, NewKey, Removed};
use super::subject::{FWC, PWC, SubjectHasher, spread, token_end, tokens};
use super::tally::Tally;

type NodeId = u32;
const ROOT: NodeId = 0;
/// The root is nobody's child, so its number is free to mean "no node".
const NONE: NodeId = ROOT;

/// Nodes in one block of the arena. Blocks are not moved when another one is added.
const BLOCK: usize = 256;

#[derive(Debug)]
pub(super) struct Trie {
    blocks: Vec<Vec<Node>>,
    free: Vec<NodeId>,
    hasher: SubjectHasher,
    pub(super) tally: Tally,
}

#[derive(Default, Debug)]
struct Node {
    literals: HashTable<Child>,
    pwc: NodeId,
    /// What is subscribed at the subject that ends in this node.
    here: Option<Box<Leaf>>,
    /// What is subscribed at this node's subject followed by `>`.
    fwc: Option<Box<Leaf>>,
}

#[derive(Debug)]
struct Child {
    token: Box<[u8]>,
    hash: u32,
    node: NodeId,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Node>() == 56 && size_of::<Child>() == 24);

impl Trie {
    pub(super) fn new(hasher: SubjectHasher) -> Self {
        Self {
            blocks: vec![vec![Node::default()]],
            free: Vec::new(),
            hasher,
            tally: Tally::default(),
        }
    }

    pub(super) fn insert(&mut self, key: NewKey<'_>, item: Item) -> Inserted {
        let mut at = ROOT;
        let mut fwc = false;
        for token in tokens(key.subject) {
            if token == FWC {
                fwc = true;
                break;
            }
            at = self.child_or_new(at, token);
        }
        let node = self.node_mut(at);
        let place = if fwc { &mut node.fwc } else { &mut node.here };
        let inserted = if let Some(leaf) = place {
            leaf.insert(key, item)
        } else {
            let (leaf, inserted) = Leaf::new(key, item);
            *place = Some(Box::new(leaf));
            inserted
        };
        self.tally.inserted(&inserted);
        inserted
    }

    pub(super) fn remove(&mut self, interest: &Interest, item: Item) -> Removed {
        let mut path: SmallVec<[(NodeId, &[u8]); 16]> = SmallVec::new();
        let mut at = ROOT;
        let mut fwc = false;
        for token in tokens(interest.subject()) {
            if token == FWC {
                fwc = true;
                break;
            }
            path.push((at, token));
            at = self.child(at, token);
            if at == NONE {
                return Removed::NOTHING;
            }
        }
        let node = self.node_mut(at);
        let place = if fwc { &mut node.fwc } else { &mut node.here };
        let Some(leaf) = place else {
            return Removed::NOTHING;
        };
        let removed = leaf.remove(interest.queue_name(), item);
        if leaf.is_empty() {
            *place = None;
            self.prune(at, &path);
        }
        self.tally.removed(removed);
        removed
    }

    /// Shows every leaf whose subject matches, in no order, until the visitor breaks.
    /// The subject must not have empty tokens.
    pub(super) fn visit<'a>(
        &'a self,
        subject: &[u8],
        mut visitor: impl FnMut(&'a Leaf) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // A node still to be seen, and where the token begins that its children are to match.
        let mut stack: SmallVec<[(NodeId, usize); 32]> = SmallVec::new();
        stack.push((ROOT, 0));
        while let Some((id, start)) = stack.pop() {
            let node = self.node(id);
            // The token before was the last one, and no dot follows it.
            if start > subject.len() {
                if let Some(leaf) = &node.here {
                    visitor(leaf)?;
                }
                continue;
            }
            if let Some(leaf) = &node.fwc {
                visitor(leaf)?;
            }
            if node.pwc == NONE && node.literals.is_empty() {
                continue;
            }
            let end = token_end(subject, start);
            if node.pwc != NONE {
                stack.push((node.pwc, end + 1));
            }
            // A published `*` finds no child here: that token never is a literal one.
            let literal = self.literal_child(node, &subject[start..end]);
            if literal != NONE {
                stack.push((literal, end + 1));
            }
        }
        ControlFlow::Continue(())
    }

    /// The leaf of exactly this subject, wildcards and all.
    pub(super) fn leaf(&self, filter: &[u8]) -> Option<&Leaf> {
        let mut at = ROOT;
        for token in tokens(filter) {
            if token == FWC {
                return self.node(at).fwc.as_deref();
            }
            at = self.child(at, token);
            if at == NONE {
                return None;
            }
        }
        self.node(at).here.as_deref()
    }

    /// The leaves of one block of the arena; `None` behind the last one.
    ///
    /// What lies in a node stays in it until it is removed, so a walk over all blocks, one after another,
    /// shows whatever was there from its beginning to its end.
    pub(super) fn leaves_of_block(&self, block: usize) -> Option<impl Iterator<Item = &Leaf>> {
        let nodes = self.blocks.get(block)?.iter();
        Some(nodes.flat_map(|node| node.here.iter().chain(&node.fwc).map(|leaf| &**leaf)))
    }

    pub(super) fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        let nodes = self.blocks.iter().flatten();
        nodes.flat_map(|node| node.here.iter().chain(&node.fwc).map(|leaf| &**leaf))
    }

    fn node(&self, id: NodeId) -> &Node {
        let id = id as usize;
        &self.blocks[id / BLOCK][id % BLOCK]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        let id = id as usize;
        &mut self.blocks[id / BLOCK][id % BLOCK]
    }

    fn literal_child(&self, node: &Node, token: &[u8]) -> NodeId {
        if node.literals.is_empty() {
            return NONE;
        }
        let hash = spread(self.hasher.hash(token));
        let found = node.literals.find(hash, |child| *child.token == *token);
        found.map_or(NONE, |child| child.node)
    }

    fn child(&self, parent: NodeId, token: &[u8]) -> NodeId {
        let node = self.node(parent);
        if token == PWC {
            return node.pwc;
        }
        self.literal_child(node, token)
    }

    fn child_or_new(&mut self, parent: NodeId, token: &[u8]) -> NodeId {
        let found = self.child(parent, token);
        if found != NONE {
            return found;
        }
        let new = self.new_node();
        let hash = self.hasher.hash(token);
        let node = self.node_mut(parent);
        if token == PWC {
            node.pwc = new;
        } else {
            let child = Child {
                token: token.into(),
                hash,
                node: new,
            };
            node.literals
                .insert_unique(spread(hash), child, |child| spread(child.hash));
        }
        new
    }

    fn new_node(&mut self) -> NodeId {
        if let Some(id) = self.free.pop() {
            return id;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let full = (self.blocks.len() - 1) * BLOCK;
        let block = self.blocks.last_mut().expect("one was pushed if need be");
        let id = full + block.len();
        block.push(Node::default());
        u32::try_from(id).expect("a trie of 2^32 nodes does not fit in memory")
    }

    /// Frees the node and those above it, as far as nothing is left in them.
    fn prune(&mut self, mut at: NodeId, path: &[(NodeId, &[u8])]) {
        for &(parent, token) in path.iter().rev() {
            if !self.node(at).is_empty() {
                return;
            }
            // A fresh node also gives back the memory of the table of children.
            *self.node_mut(at) = Node::default();
            self.free.push(at);
            self.unlink(parent, token);
            at = parent;
        }
        if self.node(ROOT).is_empty() && self.blocks.len() > 1 {
            self.blocks = vec![vec![Node::default()]];
            self.free = Vec::new();
        }
    }

    fn unlink(&mut self, parent: NodeId, token: &[u8]) {
        let hash = spread(self.hasher.hash(token));
        let node = self.node_mut(parent);
        if token == PWC {
            node.pwc = NONE;
            return;
        }
        if let Entry::Occupied(child) = node.literals.entry(
            hash,
            |child| *child.token == *token,
            |child| spread(child.hash),
        ) {
            child.remove();
        }
        if node.literals.capacity() > 64 && node.literals.len() < node.literals.capacity() / 8 {
            let wanted = node.literals.len() * 2;
            node.literals.shrink_to(wanted, |child| spread(child.hash));
        }
    }

    /// Every node is reached exactly once or free, and none is reached in vain.
    #[cfg(any(test, debug_assertions))]
    pub(super) fn assert_invariants(&self) {
        let mut reached = 0;
        let mut stack = vec![ROOT];
        while let Some(id) = stack.pop() {
            reached += 1;
            let node = self.node(id);
            assert!(id == ROOT || !node.is_empty(), "node {id} is empty");
            stack.extend((node.pwc != NONE).then_some(node.pwc));
            stack.extend(node.literals.iter().map(|child| child.node));
            for leaf in node.here.iter().chain(&node.fwc) {
                leaf.assert_invariants();
            }
        }
        let nodes: usize = self.blocks.iter().map(Vec::len).sum();
        assert_eq!(reached + self.free.len(), nodes);
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.pwc == NONE && self.here.is_none() && self.fwc.is_none() && self.literals.is_empty()
    }
}

//! A slab that grows by chunks, so that neither its memory doubles nor an element ever moves.

/// Elements of a chunk.
const CHUNK: usize = 512;

/// Values under small indices, which are reused once freed.
#[derive(Debug)]
pub(crate) struct ChunkSlab<T> {
    chunks: Vec<Box<[Option<T>]>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> ChunkSlab<T> {
    pub(crate) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All indices are below this.
    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.chunks.len() * CHUNK).expect("under 2^32 elements")
    }

    /// The index the next insertion will use.
    pub(crate) fn reserve(&mut self) -> u32 {
        if self.free.is_empty() {
            self.grow();
        }
        *self.free.last().expect("grow leaves a free index")
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let index = self.reserve();
        self.free.pop();
        *self.place(index).expect("a free index lies in a chunk") = Some(value);
        self.len += 1;
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let value = self.place(index)?.take()?;
        self.free.push(index);
        self.len -= 1;
        Some(value)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.place(index)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.iter().filter_map(Option::as_ref))
    }

    fn place(&mut self, index: u32) -> Option<&mut Option<T>> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    fn grow(&mut self) {
        let first = self.chunks.len() * CHUNK;
        self.chunks.push((0..CHUNK).map(|_| None).collect());
        let indices = (first..first + CHUNK).rev();
        self.free
            .extend(indices.map(|index| u32::try_from(index).expect("under 2^32 elements")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_reused() {
        let mut slab = ChunkSlab::new();
        let first = slab.insert('a');
        assert_eq!(slab.insert('b'), first + 1);
        assert_eq!(slab.remove(first), Some('a'));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.reserve(), first);
        assert_eq!(slab.insert('c'), first);
        assert_eq!(slab.iter().collect::<String>(), "cb");
        assert_eq!(slab.len(), 2);
    }

    #[test]
    fn chunks_follow_chunks() {
        let mut slab = ChunkSlab::new();
        let indices: Vec<u32> = (0..1_500).map(|value| slab.insert(value)).collect();
        assert!(indices.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(slab.get(1_499), Some(&1_499));
        assert_eq!(slab.get(1_536), None);
    }
}

// Memory that tensors free, kept for tensors of that size. A training step, or a batch of an evaluation,
// takes and frees the same large blocks every time. New pages from the system are slow to come by; a heap
// that keeps them falls to pieces between blocks of many sizes, and holds half as much again as is in use.
#pragma once

namespace regroup::model {

// From here on, for the rest of the process: tensors on the CPU of 64 KiB or more take a block that was freed
// before, of their size or up to an eighth more, and only if there is none a new one. Blocks in use and kept
// are never more than a quarter above the most that was in use at once: the largest that are kept go first.
void keep_freed_blocks();

}  // namespace regroup::model

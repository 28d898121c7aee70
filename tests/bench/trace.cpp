#include "tests/bench/trace.hpp"

#include "tests/stack/stack.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace fastrpc::bench {

Result<std::unique_ptr<Trace>> Trace::make(std::size_t room) {
    std::unique_ptr<Trace> trace(new Trace(room));
    const std::size_t size = sizeof(bench_trace_table) + room * sizeof(TraceEvent);
    ::chmod(trace->scratch_.path().c_str(), 0755);
    const UniqueFd file(::open(trace->scratch_.path("trace").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR));
    // Programs of several users write to it.
    if (!file || ::fchmod(file.get(), 0666) != 0 || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
        return fail_errno("making the trace", errno);
    void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.get(), 0);
    if (mapped == MAP_FAILED) return fail_errno("mapping the trace", errno);
    trace->table_ = static_cast<bench_trace_table*>(mapped);
    trace->table_->room = room;
    return trace;
}

Trace::~Trace() {
    if (table_ != nullptr) ::munmap(table_, sizeof(bench_trace_table) + room_ * sizeof(TraceEvent));
}

std::map<std::string, std::string> Trace::environment() const {
    return {{"LD_PRELOAD", (stack::build_root() / "tests/bench/libbench-trace.so").string()},
            {BENCH_TRACE_FILE, scratch_.path("trace").string()}};
}

void Trace::add_to(std::map<std::string, std::string>& environment) const {
    stack::add_environment(environment, this->environment());
}

void Trace::clear() {
    std::fill_n(table_->events, std::min<std::size_t>(table_->used, room_), TraceEvent{});
    std::atomic_ref(table_->used).store(0);
}

Result<std::vector<TraceEvent>> Trace::events() const {
    const std::uint64_t used = std::atomic_ref(table_->used).load();
    if (used > room_)
        return fail(ErrorKind::quota, "the trace has " + std::to_string(used) + " events, more than there is room for");
    std::vector<TraceEvent> events(table_->events, table_->events + used);
    // One that has its place and is not yet written is none.
    std::erase_if(events, [](const TraceEvent& event) { return event.end == 0; });
    std::ranges::sort(events, {}, &TraceEvent::end);
    return events;
}

} // namespace fastrpc::bench

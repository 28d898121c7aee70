#include "vdsp/dsp/pd/messages.hpp"

#include "ipc/aee.hpp"
#include "vdsp/dsp/pd/host_memory.hpp"

#include <thread>

namespace fastrpc::vdsp {
namespace {

constexpr unsigned deinit_method = 3, init3_method = 4, wait_method = 5;
constexpr int bad_address = 0x83; // AEE_EBADVA

struct InitIn {
    std::int32_t heap;
    std::uint32_t allocation_flags;
    std::uint32_t filter; // of levels that these PDs do not have: all lines are of the kind that is always wanted
    std::uint32_t padding;
    std::uint64_t size;
};
static_assert(sizeof(InitIn) == 24);

std::int32_t code_of(const HostFailure& failure) {
    if (failure.kind == HostFailure::Kind::unheard) return failure.code;
    return aee::on_dsp(failure.kind == HostFailure::Kind::refused ? aee::no_memory : aee::failed);
}

} // namespace

bool Messages::log(std::string_view line) {
    const std::lock_guard lock(mutex_);
    if (!ring_) return false;
    ring_->write(line);
    changed_.notify_all();
    return true;
}

bool Messages::await_reader(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return ring_.has_value(); });
}

bool Messages::poke(std::int64_t at, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    if (!ring_ || !ring_->poke(at, bytes)) return false;
    changed_.notify_all();
    return true;
}

std::int32_t Messages::serve(const std::shared_ptr<Listener>& client, const Call& call) {
    switch (call.scalars.method()) {
    case init3_method:
        return init3(client, call);
    case wait_method:
        return wait(*client, call);
    case deinit_method:
        return deinit(client, call);
    default:
        return aee::on_dsp(aee::unsupported);
    }
}

std::int32_t Messages::init3(const std::shared_ptr<Listener>& client, const Call& call) {
    const auto in = call.shaped(1, 1) ? leading<InitIn>(call.in(0)) : std::nullopt;
    if (!in || call.out(0).size() < sizeof(std::uint64_t) || in->size % 4 != 0 || in->size < min_log_ring ||
        in->size > max_log_ring)
        return aee::on_dsp(aee::bad_parm);
    {
        const std::lock_guard lock(mutex_);
        if (reader_ != nullptr) {
            put(call.out(0), std::uint64_t{0}); // somebody has the log of this PD already
            return aee::success;
        }
        reader_ = client.get();
    }
    const auto mapping = HostMemory(*client).map({in->heap, in->allocation_flags, 0, in->size});
    Mapped memory = mapping ? windows_.map(mapping->dsp, in->size) : Mapped{};
    const std::lock_guard lock(mutex_);
    if (reader_ != client.get()) return aee::on_dsp(aee::bad_state); // it left meanwhile
    if (!memory.owner) {
        reader_ = nullptr;
        return mapping ? aee::on_dsp(bad_address) : code_of(mapping.error());
    }
    memory_ = std::move(memory);
    address_ = mapping->dsp;
    ring_.emplace(memory_.bytes);
    ring_->write("the log of this PD begins");
    changed_.notify_all();
    put(call.out(0), mapping->cpu);
    return aee::success;
}

std::int32_t Messages::wait(const Listener& client, const Call& call) {
    if (!call.shaped(0, 1) || call.out(0).size() < sizeof(std::uint64_t)) return aee::on_dsp(aee::bad_parm);
    std::unique_lock lock(mutex_);
    if (reader_ == &client && ring_) ring_->reader_waits();
    changed_.wait(lock, [&] { return reader_ != &client || !ring_ || ring_->has_news(); });
    if (reader_ != &client || !ring_) return aee::on_dsp(aee::bad_state);
    put(call.out(0), ring_->take());
    return aee::success;
}

// The memory is given back beside the call: the host's listener may be the very thread that waits for its end.
std::int32_t Messages::deinit(const std::shared_ptr<Listener>& client, const Call& call) {
    if (!call.shaped(0, 0)) return aee::on_dsp(aee::bad_parm);
    std::uint64_t address = 0, size = 0;
    {
        const std::lock_guard lock(mutex_);
        if (reader_ != client.get() || !ring_) return aee::success;
        address = address_;
        size = memory_.bytes.size();
        forget();
    }
    std::thread([client, address, size] {
        // A host that left, or keeps its memory, is not the DSP's affair.
        (void)HostMemory(*client).unmap(address, size);
    }).detach();
    return aee::success;
}

void Messages::leave(const Listener& client) {
    const std::lock_guard lock(mutex_);
    if (reader_ == &client) forget();
}

void Messages::forget() {
    reader_ = nullptr;
    ring_.reset();
    memory_ = {};
    changed_.notify_all();
}

} // namespace fastrpc::vdsp

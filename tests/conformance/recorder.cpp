#include "recorder.hpp"

#include "ipc/scalars.hpp"
#include "vdsp/dsp/guest_memory.hpp"
#include "vdsp/wire/payload_view.hpp"

#include <algorithm>
#include <cstring>

namespace fastrpc::conformance {

namespace {

constexpr std::uint64_t page_mask = vdsp::page_bytes - 1;
constexpr std::int32_t bad_parameter = 14; // AEE_EBADPARM

template<class T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
    T value{};
    if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

template<class T>
void append(std::vector<std::byte>& bytes, const T& value) {
    const auto raw = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
}

struct Argument {
    std::uint64_t pv = 0;
    std::uint64_t length = 0;
    std::uint64_t page = 0;
    std::uint64_t page_size = 0;

    [[nodiscard]] std::uint64_t address() const { return page + (pv & page_mask); }
};

/// Arguments of kernel calls that hold a page descriptor.
std::optional<std::size_t> page_descriptor(const vdsp::WireRequest& request) {
    if (request.handle != 1) return std::nullopt;
    switch (request.scalars >> 24) {
    case 4:
    case 10:
        return 1;
    case 6:
    case 7:
        return 3;
    case 8:
        return 2;
    default:
        return std::nullopt;
    }
}

} // namespace

struct Recorder::Call {
    const vdsp::WireRequest& request;
    Scalars scalars{request.scalars};
    std::vector<std::byte> payload; ///< its tables whole, its data up to dump_limit
    std::vector<Argument> arguments;

    [[nodiscard]] std::size_t table(std::size_t i) const { return 16 * i; }
    [[nodiscard]] bool is_inline(const Argument& argument) const {
        return argument.page >= request.address && argument.page < request.address + request.size;
    }
};

Recorder::Recorder(std::shared_ptr<Journal> journal, vdsp::Machine& machine) :
    journal_(std::move(journal)), machine_(machine), timer_thread_([this] { run_timers(); }) {}

Recorder::~Recorder() {
    {
        const std::lock_guard lock(timer_mutex_);
        ending_ = true;
    }
    timer_change_.notify_all();
    timer_thread_.join();
}

void Recorder::run_timers() {
    std::unique_lock lock(timer_mutex_);
    while (!ending_) {
        if (timers_.empty()) {
            timer_change_.wait(lock);
        } else if (const auto due = timers_.begin()->first; due > Clock::now()) {
            timer_change_.wait_until(lock, due);
        } else {
            const auto what = std::move(timers_.begin()->second);
            timers_.erase(timers_.begin());
            lock.unlock();
            what();
            lock.lock();
        }
    }
}

void Recorder::later(std::uint32_t ms, std::function<void()> what) {
    const std::lock_guard lock(timer_mutex_);
    timers_.emplace(Clock::now() + std::chrono::milliseconds(ms), std::move(what));
    timer_change_.notify_all();
}

vdsp::Woken Recorder::converse(const vdsp::WireRequest& request, std::span<const int> disturbances,
                               std::optional<std::chrono::steady_clock::time_point> deadline,
                               const std::function<bool()>& done) {
    return vdsp::converse_by_waiting(*this, request, disturbances, deadline, done);
}

Result<std::string> Recorder::command(std::string_view) {
    return fail(ErrorKind::invalid, "the recorder is scripted through the driver, not by commands");
}

void Recorder::answer(std::uint64_t context, std::int32_t result, std::size_t bytes) {
    std::array<std::byte, 64> message{};
    const vdsp::WireResponse response{.context = context, .result = result};
    std::memcpy(message.data(), &response, sizeof response);
    machine_.respond(std::span(message).first(std::min(bytes, message.size())));
}

void Recorder::receive(const vdsp::WireRequest& request) {
    ++messages_;
    Call call{.request = request};
    const std::uint64_t tables = vdsp::meta_bytes(call.scalars);
    const auto wanted = std::min<std::uint64_t>(request.size, std::max<std::uint64_t>(dump_limit, tables));
    if (auto payload = vdsp::read_dma(machine_, request.address, wanted)) call.payload = std::move(*payload);
    const std::size_t count = call.scalars.arguments();
    for (std::size_t i = 0; i < count; ++i)
        call.arguments.push_back({.pv = load<std::uint64_t>(call.payload, 16 * i),
                                  .length = load<std::uint64_t>(call.payload, 16 * i + 8),
                                  .page = load<std::uint64_t>(call.payload, 24 * count + 16 * i),
                                  .page_size = load<std::uint64_t>(call.payload, 24 * count + 16 * i + 8)});
    if (request.handle == control_handle) return control(call);
    log(call);
    serve(call);
}

void Recorder::log(const Call& call) {
    const vdsp::WireRequest& request = call.request;
    std::vector<Probe> probes;
    const auto look = [&](std::uint64_t address, auto& into, std::uint32_t fault, Probe& probe) {
        const auto bytes = vdsp::read_dma(machine_, address, into.size());
        if (bytes)
            std::memcpy(into.data(), bytes->data(), into.size());
        else
            probe.faults |= fault;
    };
    const auto ends = [&](Probe& probe) {
        look(probe.address, probe.first, 1, probe);
        if (probe.size >= vdsp::page_bytes) look(probe.address + probe.size - vdsp::page_bytes, probe.last, 2, probe);
    };
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
        const Argument& argument = call.arguments[i];
        if (argument.page == 0) continue;
        Probe probe{.argument = static_cast<std::uint32_t>(i), .address = argument.page, .size = argument.page_size};
        if (!call.is_inline(argument)) ends(probe);
        if (i < call.scalars.buffers() && argument.length <= data_limit) {
            if (const auto data = vdsp::read_dma(machine_, argument.address(), argument.length)) {
                std::memcpy(probe.data.data(), data->data(), std::min(data->size(), probe.data.size()));
                probe.hash = hash_bytes(data->data(), data->size());
            } else {
                probe.faults |= 4;
            }
        }
        probes.push_back(probe);
    }
    if (const auto described = page_descriptor(request); described && *described < call.arguments.size()) {
        const Argument& argument = call.arguments[*described];
        if (const auto page = vdsp::read_dma(machine_, argument.address(), 16); page && argument.length == 16) {
            Probe probe{.argument = static_cast<std::uint32_t>(*described),
                        .in_body = 1,
                        .address = load<std::uint64_t>(*page, 0),
                        .size = load<std::uint64_t>(*page, 8)};
            if (probe.address != 0) ends(probe);
            probes.push_back(probe);
        }
    }

    const std::lock_guard lock(journal_->mutex);
    const std::uint64_t previous = std::exchange(journal_->previous, request.context);
    constexpr std::uint32_t release = 0x01010000;
    if (request.handle == 1 && request.scalars == release && call.arguments[0].length == 4) {
        const auto body = vdsp::read_dma(machine_, call.arguments[0].address(), 4);
        if (body && journal_->runners.contains(load<std::int32_t>(*body, 0))) return;
    }
    ++journal_->seen[request.handle];
    std::vector<std::byte> entry;
    append(entry, Record{.request = request,
                         .previous = previous,
                         .dumped = static_cast<std::uint32_t>(call.payload.size()),
                         .probes = static_cast<std::uint32_t>(probes.size())});
    entry.insert(entry.end(), call.payload.begin(), call.payload.end());
    for (const Probe& probe : probes) append(entry, probe);
    journal_->log.push_back(std::move(entry));
}

void Recorder::serve(Call& call) {
    Rule rule;
    {
        const std::lock_guard lock(journal_->mutex);
        const auto found = std::ranges::find_if(journal_->rules, [&](const Rule& candidate) {
            return candidate.handle == call.request.handle &&
                   (candidate.method == Rule::any_method || candidate.method == call.scalars.method());
        });
        if (found != journal_->rules.end()) {
            rule = *found;
            if (--found->count == 0) journal_->rules.erase(found);
        }
    }
    fill_outputs(call, rule);
    const auto say = [this, rule, context = call.request.context] {
        for (std::uint32_t i = 0; i < rule.answers; ++i) answer(context, rule.result, rule.answer_bytes);
    };
    rule.delay_ms != 0 ? later(rule.delay_ms, say) : say();
}

void Recorder::fill_outputs(Call& call, const Rule& rule) {
    const auto put = [&](std::uint64_t address, const void* data, std::size_t size) {
        // A fault of the DSP's MMU: the log shows that nothing is there.
        (void)vdsp::write_dma(machine_, address, std::as_bytes(std::span(static_cast<const char*>(data), size)));
    };
    const auto ours = [&](std::uint64_t address) {
        const auto tag = vdsp::read_dma(machine_, address, sizeof(PageTag));
        return tag && load<PageTag>(*tag, 0).magic == PageTag::tag_magic;
    };
    for (std::size_t i = call.scalars.in_buffers(); i < call.scalars.buffers(); ++i) {
        const Argument& argument = call.arguments[i];
        if (argument.page == 0 || argument.length == 0) continue;
        // Without an IOMMU a wrong address is anybody's memory: only pages that the program marked are written.
        if (!call.is_inline(argument) && !(ours(argument.page) && ours(argument.page + argument.page_size - 4096)))
            continue;
        std::uint64_t length = argument.length;
        for (std::size_t e = 0; e < std::min<std::size_t>(rule.edits, rule.edit.size()); ++e) {
            if (rule.edit[e].index != i) continue;
            if (rule.edit[e].set_length != 0) {
                length = rule.edit[e].length;
                put(call.request.address + call.table(i) + 8, &length, sizeof length);
            }
            const std::uint64_t pv = argument.pv + static_cast<std::uint64_t>(rule.edit[e].pv_shift);
            put(call.request.address + call.table(i), &pv, sizeof pv);
        }
        if (call.request.handle == 1 || call.request.handle == 2) continue;
        std::vector<std::byte> bytes(std::min<std::uint64_t>(length, data_limit));
        for (std::size_t k = 0; k < bytes.size(); ++k) bytes[k] = pattern_byte(i, k);
        put(argument.address(), bytes.data(), bytes.size());
    }
    const std::size_t first_output = call.scalars.in_buffers();
    const unsigned method = call.scalars.method();
    const bool maps = call.request.handle == 1 && (method == 4 || method == 10);
    if (call.scalars.out_buffers() != 0 && (rule.has_value != 0 || maps)) {
        std::uint64_t value = rule.value;
        if (rule.has_value == 0) {
            const std::lock_guard lock(journal_->mutex);
            value = std::exchange(journal_->next_address, journal_->next_address + address_step);
        }
        put(call.arguments[first_output].address(), &value, sizeof value);
    } else if (call.request.handle == 2 && call.scalars.out_buffers() != 0) {
        std::array<std::uint32_t, 255> values{};
        for (std::uint32_t id = 1; id <= values.size(); ++id) values[id - 1] = attribute_value(id);
        put(call.arguments[first_output].address(), values.data(),
            std::min<std::uint64_t>(sizeof values, call.arguments[first_output].length));
    }
    if (rule.fds != 0)
        put(call.request.address + vdsp::fd_list_offset(call.scalars), rule.fd_list.data(),
            8 * std::min<std::size_t>(rule.fds, rule.fd_list.size()));
}

void Recorder::crash_when_silent(const CrashOrder& order) {
    later(order.after_ms, [this, order, before = messages_.load()] {
        if (messages_ != before) return crash_when_silent(order);
        machine_.crashed(std::chrono::milliseconds(order.down_ms));
    });
}

void Recorder::control(Call& call) {
    std::vector<std::byte> input;
    if (call.scalars.in_buffers() != 0 && call.arguments[0].length != 0 && call.arguments[0].length <= sizeof(Rule))
        if (auto bytes = vdsp::read_dma(machine_, call.arguments[0].address(), call.arguments[0].length))
            input = std::move(*bytes);
    const Argument* output = call.scalars.out_buffers() != 0 ? &call.arguments[call.scalars.in_buffers()] : nullptr;
    std::int32_t result = 0;
    std::vector<std::byte> back;
    std::unique_lock lock(journal_->mutex);
    journal_->previous = call.request.context;
    switch (static_cast<Control>(call.scalars.method())) {
    case Control::reset:
        journal_->log.clear();
        journal_->rules.clear();
        journal_->seen.clear();
        journal_->runners = {call.request.client};
        journal_->next_address = first_address;
        break;
    case Control::rule:
        if (input.size() != sizeof(Rule))
            result = bad_parameter;
        else
            journal_->rules.push_back(load<Rule>(input, 0));
        break;
    case Control::fetch: {
        if (output == nullptr) {
            result = bad_parameter;
            break;
        }
        FetchHead head;
        append(back, head);
        while (!journal_->log.empty() && back.size() + journal_->log.front().size() <= output->length) {
            back.insert(back.end(), journal_->log.front().begin(), journal_->log.front().end());
            journal_->log.pop_front();
            ++head.records;
        }
        head.left = static_cast<std::uint32_t>(journal_->log.size());
        std::memcpy(back.data(), &head, sizeof head);
        break;
    }
    case Control::seen:
        append(back, journal_->seen[load<std::uint32_t>(input, 0)]);
        break;
    case Control::respond:
        lock.unlock();
        machine_.respond(input);
        break;
    case Control::crash: {
        const auto order = load<CrashOrder>(input, 0);
        const auto crash = [this, order] { machine_.crashed(std::chrono::milliseconds(order.down_ms)); };
        lock.unlock();
        if (order.after_ms == 0) return crash();
        order.silent != 0 ? crash_when_silent(order) : later(order.after_ms, crash);
        break;
    }
    default:
        result = bad_parameter;
    }
    if (lock) lock.unlock();
    if (!back.empty() && output != nullptr)
        if (!vdsp::write_dma(machine_, output->address(),
                             std::span(back).first(std::min<std::size_t>(back.size(), output->length))))
            result = bad_parameter;
    answer(call.request.context, result);
}

std::function<std::unique_ptr<vdsp::DspHalf>(vdsp::DspConfig, vdsp::Machine&, sd_event*)> recorder_factory() {
    auto journals = std::make_shared<std::map<Domain, std::shared_ptr<Journal>>>();
    return [journals](vdsp::DspConfig config, vdsp::Machine& machine, sd_event*) {
        auto& journal = (*journals)[config.domain];
        if (!journal) journal = std::make_shared<Journal>();
        return std::make_unique<Recorder>(journal, machine);
    };
}

} // namespace fastrpc::conformance

// Handle 1, the process group service, and handle 2, capabilities: the kernel's own calls (KERNEL 1.12).
#include "base/log.hpp"
#include "ipc/aee.hpp"
#include "vdsp/dsp/guest_os.hpp"
#include "vdsp/dsp/sha256.hpp"
#include "vdsp/dsp/shell.hpp"

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>

namespace fastrpc::vdsp {
namespace {

constexpr int not_unsigned = 0x81;    // AEE_EUNSIGNEDMOD: no unsigned PDs on this DSP
constexpr int already = 0x1A;         // AEE_EALREADY
constexpr int bad_address = 0x83;     // AEE_EBADVA
constexpr int no_such_process = 0x41; // AEE_ENOSUCHPROCESS
constexpr std::uint64_t max_name = 128;
constexpr std::int32_t page_list_bytes = 16;
std::int32_t bad_parameter() {
    return aee::on_dsp(aee::bad_parm);
}

// The name that `bytes` hold up to their NUL; nothing when there is none.
std::optional<std::string> terminated(std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t end = text.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    return std::string(text.substr(0, end));
}

PdKind kind_of(std::uint32_t attributes) {
    if ((attributes & attribute::unsigned_module) == 0) return PdKind::signed_user;
    return (attributes & attribute::system_unsigned_pd) != 0 ? PdKind::system_unsigned : PdKind::unsigned_user;
}

} // namespace

struct GuestOs::KernelCall {
    WireRequest request;
    Machine& machine;
    std::vector<PayloadArgument> arguments;

    [[nodiscard]] unsigned pd_number() const { return static_cast<unsigned>(request.context & pd_mask); }
    /// Argument `index`, which must be exactly a T.
    template<class T>
    [[nodiscard]] std::optional<T> body(std::size_t index) const {
        const auto bytes = read_argument(machine, arguments[index], sizeof(T));
        return bytes ? value_of<T>(*bytes) : std::nullopt;
    }
    /// Whether all memory of `page` exists.
    [[nodiscard]] bool exists(const kernel_call::Page& page) const {
        const auto window = machine.window(page.address);
        return window && page.address - window->address <= window->size &&
               window->size - (page.address - window->address) >= page.size;
    }
};

// What changes the tables of clients and PDs hops to the loop; all else is answered on the calling thread.
void GuestOs::kernel_call(const WireRequest& request) {
    namespace call = vdsp::kernel_call;
    const auto now = [&]() -> Answer {
        const Scalars scalars{request.scalars};
        if (request.handle == call::process_handle && request.client != 0) return aee::on_dsp(aee::bad_perms);
        if (request.size > max_kernel_payload) return bad_parameter();
        const auto payload = read_dma(machine_, request.address, request.size);
        if (!payload) return bad_parameter();
        auto arguments = view_payload(scalars, *payload);
        if (!arguments) return bad_parameter();
        const KernelCall parsed{request, machine_, std::move(*arguments)};
        if (request.handle == call::utilities_handle)
            return scalars == call::get_info ? get_info(parsed) : aee::on_dsp(aee::unsupported);
        if (scalars == call::mmap) return mmap(parsed);
        if (scalars == call::munmap) return munmap(parsed);
        if (scalars == call::mem_map) return mem_map(parsed);
        if (scalars == call::mem_unmap) return mem_unmap(parsed);
        loop_.post([this, parsed] {
            if (const Answer answer = process_call(parsed)) answered(parsed.request.context, *answer);
        });
        return std::nullopt;
    }();
    if (now) answered(request.context, *now);
}

GuestOs::Answer GuestOs::process_call(const KernelCall& parsed) {
    namespace call = vdsp::kernel_call;
    const Scalars scalars{parsed.request.scalars};
    try {
        if (scalars == call::attach) return attach(parsed);
        if (scalars == call::release) return release(parsed);
        if (scalars == call::create) return create(parsed, false);
        if (scalars == call::create_attr) return create(parsed, true);
        if (scalars == call::create_static) return create_static(parsed);
    } catch (const std::system_error& error) { // of a process that cannot be started
        log::error(error.what());
        return aee::on_dsp(aee::unable_to_load);
    }
    return aee::on_dsp(aee::unsupported);
}

// The client's calls go to `pd` from now on; the answer waits until it runs.
GuestOs::Answer GuestOs::join_running(Pd& pd, const KernelCall& call, std::int32_t client,
                                      std::set<std::uint64_t> addresses) {
    addresses.insert(call.request.address);
    join(pd, client, call.pd_number(), std::move(addresses));
    if (pd.phase == PdPhase::running) return aee::success;
    pd.waiting.push_back(call.request.context);
    return std::nullopt;
}

GuestOs::Answer GuestOs::attach(const KernelCall& call) {
    const auto body = call.body<kernel_call::ClientBody>(0);
    if (!body || body->client <= 0) return bad_parameter();
    const unsigned number = call.pd_number();
    if (number != root_number && number != sensors_number) return bad_parameter();
    Pd& pd = number == root_number ? static_pd(PdKind::root, "root") : static_pd(PdKind::sensors, "sensorspd");
    return join_running(pd, call, body->client, {});
}

// Sent at every last close, also of files that never announced a client: then with PD number 0, and where the kernel
// numbers clients by process (6.12) the number may be that of another file's client.
GuestOs::Answer GuestOs::release(const KernelCall& call) {
    const auto body = call.body<kernel_call::ClientBody>(0);
    if (!body) return bad_parameter();
    const auto client = clients_.find(body->client);
    if (client == clients_.end()) return aee::success;
    const auto pds = client->second.pds;
    // A client whose PDs have all died is released with their number, too: its memory must not be the next one's.
    const bool has_others = std::ranges::any_of(pds, [](const Pd* pd) { return pd != nullptr; });
    if (call.pd_number() == root_number && pds[root_number] == nullptr && has_others) return aee::success;
    Answer answer = aee::success;
    const std::lock_guard lock(mutex_);
    for (const auto& [address, page] : client->second.maps) hide(address);
    for (Pd* pd : pds) {
        if (pd == nullptr) continue;
        if (is_static(pd->kind)) {
            leave(*pd, body->client);
        } else if (!pd->process) {
            forget(*pd);
        } else {
            pd->phase = PdPhase::ending;
            pd->releases.push_back(call.request.context);
            pd->process->end();
            answer.reset();
        }
    }
    clients_.erase(client);
    return answer;
}

const Pd* GuestOs::user_pd(std::int32_t id) const {
    const auto client = clients_.find(id);
    return client == clients_.end() ? nullptr : client->second.pds[user_number];
}

GuestOs::Answer GuestOs::create(const KernelCall& call, bool with_attributes) {
    const auto body = call.body<kernel_call::CreateBody>(0);
    const auto memory = call.body<kernel_call::Page>(3);
    const auto name = read_argument(machine_, call.arguments[1], max_name);
    if (!body || !memory || !name || body->client <= 0 || call.pd_number() != user_number) return bad_parameter();
    const auto text = terminated(*name);
    if (!text || body->name_length != name->size() || body->pages != 1 || (body->attributes != 0) != with_attributes ||
        body->file_length != call.arguments[2].length || body->signature_length > body->file_length)
        return bad_parameter();
    if (memory->size == 0 || !call.exists(*memory)) return aee::on_dsp(bad_address);
    const bool is_unsigned = (body->attributes & attribute::unsigned_module) != 0;
    if (is_unsigned && !has_unsigned(config_.domain)) return aee::on_dsp(not_unsigned);
    const Pd* old = user_pd(body->client);
    if (old != nullptr && old->process) return aee::on_dsp(already);
    if (old != nullptr) {
        const std::lock_guard lock(mutex_);
        forget(*old);
    }
    const auto shell = read_argument(machine_, call.arguments[2], max_shell);
    if (!shell) return aee::on_dsp(bad_address);
    const std::span<const std::byte> bytes = std::span(*shell).first(shell->size() - body->signature_length);
    if (const std::int32_t refusal = check_shell(bytes, config_.domain, is_unsigned)) return refusal;
    std::string digest = bytes.empty() ? std::string() : sha256(bytes);
    Pd& pd = *start_pd(kind_of(body->attributes), *text);
    {
        const std::lock_guard lock(mutex_);
        pd.shell_sha256 = std::move(digest);
    }
    return join_running(pd, call, body->client, {memory->address});
}

GuestOs::Answer GuestOs::create_static(const KernelCall& call) {
    const auto body = call.body<kernel_call::CreateStaticBody>(0);
    const auto name = read_argument(machine_, call.arguments[1], max_name);
    const auto heap = call.body<kernel_call::Page>(2);
    if (!body || !name || !heap || body->client <= 0 || call.pd_number() != user_number) return bad_parameter();
    const auto text = terminated(*name);
    if (!text || body->name_length != name->size() || body->pages != 0) return bad_parameter();
    if (*text != "audiopd") return aee::on_dsp(no_such_process);
    const Pd* old = user_pd(body->client);
    if (old != nullptr && !is_static(old->kind)) return aee::on_dsp(already);
    return join_running(static_pd(PdKind::audio, *text), call, body->client, {heap->address});
}

// Output 0 of both kinds of mapping is the address at which the DSP maps the page of input 1.
GuestOs::Answer GuestOs::map_page(const KernelCall& call, std::int32_t id) {
    const auto page = call.body<kernel_call::Page>(1);
    if (!page) return bad_parameter();
    const bool exists = page->size != 0 && call.exists(*page);
    std::unique_lock lock(mutex_);
    if (!clients_.contains(id)) return aee::no_such;
    if (!exists) return aee::on_dsp(bad_address);
    const std::uint64_t address = next_address_;
    next_address_ += (page->size + page_bytes - 1) / page_bytes * page_bytes + page_bytes;
    lock.unlock(); // the machine is asked
    if (!write_argument(machine_, call.arguments.back(), bytes_of(address))) return bad_parameter();
    lock.lock();
    const auto client = clients_.find(id);
    if (client == clients_.end()) return aee::no_such; // released meanwhile
    client->second.maps.emplace(address, DspPage{address, page->address, page->size});
    client->second.sids.insert(sid_of(page->address));
    for (const Pd* pd : client->second.pds)
        if (pd != nullptr) show_memory(*pd);
    return aee::success;
}

GuestOs::Answer GuestOs::unmap_page(std::int32_t id, std::uint64_t address, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    const auto client = clients_.find(id);
    if (client == clients_.end()) return aee::no_such;
    const auto found = client->second.maps.find(address);
    if (found == client->second.maps.end() || found->second.size != size) return aee::on_dsp(aee::no_such_map);
    client->second.maps.erase(found);
    hide(address);
    return aee::success;
}

GuestOs::Answer GuestOs::mmap(const KernelCall& call) {
    const auto body = call.body<kernel_call::MmapBody>(0);
    const bool known = body && (body->flags == 0x1000 || body->flags == 8); // user heap, remote heap
    if (!known || body->address != 0 || body->num != page_list_bytes) return bad_parameter();
    return map_page(call, body->client);
}

GuestOs::Answer GuestOs::munmap(const KernelCall& call) {
    const auto body = call.body<kernel_call::MunmapBody>(0);
    return body ? unmap_page(body->client, body->address, body->size) : bad_parameter();
}

GuestOs::Answer GuestOs::mem_map(const KernelCall& call) {
    const auto body = call.body<kernel_call::MemMapBody>(0);
    const bool known = body && (body->flags == 0 || body->flags == 2 || body->flags == 3 || body->flags == 16);
    if (!known || body->num != page_list_bytes || body->data_length != 0) return bad_parameter();
    return map_page(call, body->client);
}

GuestOs::Answer GuestOs::mem_unmap(const KernelCall& call) {
    const auto body = call.body<kernel_call::MemUnmapBody>(0);
    return body ? unmap_page(body->client, body->address, body->length) : bad_parameter();
}

GuestOs::Answer GuestOs::get_info(const KernelCall& call) {
    if (config_.attributes.empty()) return aee::on_dsp(aee::unsupported);
    const auto count = call.body<std::uint32_t>(0);
    if (!count || *count != kernel_call::attribute_count) return bad_parameter();
    std::array<std::uint32_t, kernel_call::attribute_count> values{};
    for (const auto& [id, value] : config_.attributes)
        if (id >= 1 && id <= values.size()) values.at(id - 1) = value;
    if (!write_argument(machine_, call.arguments[1], std::as_bytes(std::span(values)))) return bad_parameter();
    return aee::success;
}

} // namespace fastrpc::vdsp

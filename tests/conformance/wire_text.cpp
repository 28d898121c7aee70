#include "wire_text.hpp"

#include "text.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace fastrpc::conformance {

namespace {

constexpr std::uint64_t page_mask = 4095;
constexpr std::size_t most_arguments = 6; ///< that are written out

std::uint32_t low(std::uint64_t hash) {
    return static_cast<std::uint32_t>(hash & 0xFFFFFFFF);
}

template<class T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
    T value{};
    if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

std::string named(const std::map<std::int64_t, std::string>& names, std::int64_t number) {
    const auto found = names.find(number);
    return found != names.end() ? found->second : print("?%lld", static_cast<long long>(number));
}

class Writer {
public:
    Writer(const Record& record, std::span<const std::byte> payload, std::span<const Probe> probes, const Facts& facts,
           bool ids) :
        record_(record),
        request_(record.request), payload_(payload), probes_(probes), facts_(facts), ids_(ids),
        in_(request_.scalars >> 16 & 255), out_(request_.scalars >> 8 & 255),
        count_(in_ + out_ + (request_.scalars >> 4 & 15) + (request_.scalars & 15)) {}

    std::string text() {
        std::string text = title();
        text += request_.client == 0 ? " cid=0" : " cid=" + named(facts_.processes, request_.client);
        text += " tid=" + named(facts_.threads, request_.tid);
        text += print(" pd=%u", static_cast<unsigned>(request_.context & 15)) + distance();
        text += print(" sid=%u", static_cast<unsigned>(request_.address >> 32));
        if ((request_.address & page_mask) != 0) text += " payload not at a page";
        text += print(" size=%llu", static_cast<unsigned long long>(request_.size));
        std::vector<std::string> arguments;
        for (std::size_t i = 0; i < count_; ++i) arguments.push_back(argument(i));
        std::uint64_t hash = hash_seed;
        for (std::size_t i = 0; i < count_; ++i) {
            if (i < most_arguments) text += " [" + arguments[i] + "]";
            hash = hash_bytes(arguments[i].data(), arguments[i].size(), hash);
        }
        if (count_ > most_arguments) text += print(" [..%zu#%08x]", count_, low(hash));
        return text + rest();
    }

private:
    struct Entry {
        std::uint64_t pv, length, page, page_size;
        std::uint32_t num, index;
    };

    [[nodiscard]] Entry entry(std::size_t i) const {
        return {.pv = load<std::uint64_t>(payload_, 16 * i),
                .length = load<std::uint64_t>(payload_, 16 * i + 8),
                .page = load<std::uint64_t>(payload_, 24 * count_ + 16 * i),
                .page_size = load<std::uint64_t>(payload_, 24 * count_ + 16 * i + 8),
                .num = load<std::uint32_t>(payload_, 16 * count_ + 8 * i),
                .index = load<std::uint32_t>(payload_, 16 * count_ + 8 * i + 4)};
    }

    [[nodiscard]] std::string title() const {
        static constexpr const char* process_methods[] = {"ATTACH",        "RELEASE", "?2",      "?3",
                                                          "MMAP",          "MUNMAP",  "CREATE",  "CREATE_ATTR",
                                                          "CREATE_STATIC", "?9",      "MEM_MAP", "MEM_UNMAP"};
        const unsigned method = request_.scalars >> 24;
        std::string text = print("h=%x", request_.handle);
        if (request_.handle == 1 && method < std::size(process_methods)) text = process_methods[method];
        if (request_.handle == 2 && method == 0) text = "GET_INFO";
        return text + print(" sc=%08x", request_.scalars);
    }

    /// Ids 1..255 are handed out in a circle.
    [[nodiscard]] std::string distance() const {
        std::string text;
        if ((request_.context & ~std::uint64_t{0xFFF}) != 0) text = " context has high bits";
        const auto id = static_cast<unsigned>(request_.context >> 4 & 255);
        const auto before = static_cast<unsigned>(record_.previous >> 4 & 255);
        if (!ids_ || before == 0) return text;
        return text + print(" +%u", (id + 255 - before) % 255);
    }

    [[nodiscard]] const Probe* probe(std::size_t i, std::uint32_t in_body) const {
        const auto found = std::ranges::find_if(
            probes_, [&](const Probe& probe) { return probe.argument == i && probe.in_body == in_body; });
        return found == probes_.end() ? nullptr : &*found;
    }

    [[nodiscard]] bool in_payload(std::uint64_t page) const {
        return page >= request_.address && page < request_.address + request_.size;
    }

    /// A DMA address by what is there.
    [[nodiscard]] std::string place(const Probe& probe) const {
        const std::string sid = print("sid%u:", static_cast<unsigned>(probe.address >> 32));
        const auto tag = std::bit_cast<PageTag>(probe.first);
        std::string text;
        if ((probe.faults & 1) == 0 && tag.magic == PageTag::tag_magic && facts_.buffers.contains(tag.buffer))
            text = print("buf%u+%llx", tag.buffer, static_cast<unsigned long long>(tag.page * 4096));
        else if ((probe.faults & 1) == 0 && std::ranges::all_of(probe.first, [](auto byte) { return byte == 0; }))
            text = "zeros";
        else
            text = "elsewhere";
        if ((probe.address & page_mask) != 0)
            text += print(" low=%03x", static_cast<unsigned>(probe.address & page_mask));
        return sid + text;
    }

    [[nodiscard]] std::string address_of_case(std::uint64_t pv) const {
        for (const auto& [id, area] : facts_.buffers)
            if (area.address != 0 && pv >= area.address && pv - area.address <= area.size)
                return print("buf%u+%llx", id, static_cast<unsigned long long>(pv - area.address));
        if (pv < 0x100000) return print("%llx", static_cast<unsigned long long>(pv));
        return print("..%03x", static_cast<unsigned>(pv & page_mask));
    }

    /// All of the argument's bytes lie in a buffer of the case.
    [[nodiscard]] bool known(const Probe& probe, const Entry& entry) const {
        const auto tag = std::bit_cast<PageTag>(probe.first);
        if (tag.magic != PageTag::tag_magic) return false;
        const auto found = facts_.buffers.find(tag.buffer);
        return found != facts_.buffers.end() &&
               tag.page * 4096 + (entry.pv & page_mask) + entry.length <= found->second.size;
    }

    [[nodiscard]] std::string data(const Probe& probe, const Entry& entry) const {
        if ((probe.faults & 4) != 0) return " fault";
        if (entry.length <= 16) {
            std::string text = " ";
            for (std::size_t i = 0; i < entry.length; ++i) text += print("%02x", probe.data[i]);
            return text;
        }
        return print(" #%08x", low(probe.hash));
    }

    std::string argument(std::size_t i) {
        const Entry at = entry(i);
        std::string text = i < in_ ? "in" : i < in_ + out_ ? "out" : "handle";
        text += print("%zu", i);
        if (at.num != (i < in_ + out_ ? at.length != 0 : load<std::uint32_t>(payload_, 16 * i + 8) != 0))
            text += print(" num=%u", at.num);
        if (at.index != i) text += print(" index=%u", at.index);
        const Probe* there = probe(i, 0);
        if (i >= in_ + out_) return text + handle(i, at, there);
        if (at.length == 0 && at.pv == 0 && at.page == 0 && at.page_size == 0) return text + " empty";
        const auto pages = static_cast<unsigned long long>(at.page_size / 4096);
        const auto length = static_cast<unsigned long long>(at.length);
        if (in_payload(at.page)) {
            const std::uint64_t offset = at.page - request_.address + (at.pv & page_mask);
            text += print(" @%llu len=%llu pages=%llu", static_cast<unsigned long long>(offset), length, pages);
            if ((at.page_size & page_mask) != 0) text += " odd size";
            cover(offset, at.length);
            if (there == nullptr) return text;
            if (request_.handle == 1 && i < in_) return text + body(i, at, *there);
            if (i < in_ || there->hash != zeros(at.length)) text += data(*there, at);
            return text;
        }
        text += " pv=";
        text += address_of_case(at.pv) + print(" len=%llu pages=%llu", length, pages);
        if (there == nullptr) return text + print(" page=%llx", static_cast<unsigned long long>(at.page));
        text += " " + place(*there);
        return known(*there, at) ? text + data(*there, at) : text;
    }

    [[nodiscard]] static std::uint64_t zeros(std::uint64_t length) {
        const std::vector<char> empty(length);
        return hash_bytes(empty.data(), empty.size());
    }

    [[nodiscard]] std::string handle(std::size_t i, const Entry& at, const Probe* there) const {
        std::string text = " fd=" + fd(load<std::int32_t>(payload_, 16 * i)) +
                           print(" offset=%x len=%x", load<std::uint32_t>(payload_, 16 * i + 4),
                                 load<std::uint32_t>(payload_, 16 * i + 8));
        if (load<std::uint32_t>(payload_, 16 * i + 12) != 0) text += " tail";
        if (at.page == 0 && at.page_size == 0) return text + " unmapped";
        text += print(" size=%llu", static_cast<unsigned long long>(at.page_size));
        return there != nullptr ? text + " " + place(*there) : text;
    }

    [[nodiscard]] std::string fd(std::int32_t number) const {
        if (number <= 0) return print("%d", number);
        return named(facts_.fds, number);
    }
    [[nodiscard]] std::string client(std::int32_t number) const { return named(facts_.processes, number); }

    /// Inputs of calls on handle 1, without their padding.
    [[nodiscard]] std::string body(std::size_t i, const Entry& at, const Probe& there) const {
        const auto bytes = std::as_bytes(std::span(there.data));
        const auto word = [&](std::size_t offset) { return load<std::uint32_t>(bytes, offset); };
        const auto number = [&](std::size_t offset) { return load<std::int32_t>(bytes, offset); };
        const auto big = [&](std::size_t offset) {
            return static_cast<unsigned long long>(load<std::uint64_t>(bytes, offset));
        };
        if (const Probe* page = probe(i, 1); page != nullptr)
            return print(" {page size=%llu ", static_cast<unsigned long long>(page->size)) +
                   (page->address == 0 ? "none" : place(*page)) + "}";
        if (i != 0) return data(there, at);
        const std::string who = " {client=" + client(number(0));
        switch (request_.scalars >> 24) {
        case 0:
        case 1:
            return who + "}";
        case 4:
            return who + print(" flags=%x vaddr=%llx num=%d}", word(4), big(8), number(16));
        case 5:
            return who + print(" vaddr=%llx size=%llx}", big(8), big(16));
        case 6:
        case 7:
            return who + print(" namelen=%u filelen=%u pages=%u attrs=%x siglen=%u}", word(4), word(8), word(12),
                               word(16), word(20));
        case 8:
            return who + print(" namelen=%u pages=%u}", word(4), word(8));
        case 10:
            return who + " fd=" + fd(number(4)) + print(" offset=%d flags=%x vaddr=", number(8), word(12)) +
                   address_of_case(big(16)) + print(" num=%d datalen=%d}", number(24), number(28));
        case 11:
            return who + " fd=" + fd(number(4)) + print(" vaddr=%llx len=%llx}", big(8), big(16));
        default:
            return data(there, at);
        }
    }

    void cover(std::uint64_t offset, std::uint64_t length) { covered_.emplace_back(offset, offset + length); }

    /// The payload's bytes that belong to no table and no argument are zero.
    [[nodiscard]] std::string rest() {
        std::size_t stray = 0;
        for (std::size_t i = 40 * count_; i < payload_.size(); ++i) {
            if (payload_[i] == std::byte{0}) continue;
            const auto inside = [&](const auto& range) { return i >= range.first && i < range.second; };
            if (std::ranges::none_of(covered_, inside)) ++stray;
        }
        return stray != 0 ? print(" STRAY %zu bytes", stray) : "";
    }

    const Record& record_;
    const vdsp::WireRequest& request_;
    std::span<const std::byte> payload_;
    std::span<const Probe> probes_;
    const Facts& facts_;
    bool ids_;
    std::size_t in_;
    std::size_t out_;
    std::size_t count_;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> covered_;
};

} // namespace

bool Facts::take(char kind, const std::string& text) {
    long long number = 0;
    int used = 0;
    if (kind == 'B') {
        unsigned id = 0;
        unsigned long long address = 0;
        unsigned long long size = 0;
        if (std::sscanf(text.c_str(), "%u %llx %llx", &id, &address, &size) != 3) return false;
        buffers[id] = {.address = address, .size = size};
        return true;
    }
    auto* names = kind == 'T' ? &threads : kind == 'P' ? &processes : kind == 'F' ? &fds : nullptr;
    if (names == nullptr || std::sscanf(text.c_str(), "%lld %n", &number, &used) != 1) return false;
    (*names)[number] = text.substr(static_cast<std::size_t>(used));
    return true;
}

std::vector<std::string> wire_texts(std::span<const std::byte> fetched, const Facts& facts, bool ids) {
    std::vector<std::string> texts;
    const auto head = load<FetchHead>(fetched, 0);
    fetched = fetched.subspan(sizeof head);
    for (std::uint32_t i = 0; i < head.records; ++i) {
        const auto record = load<Record>(fetched, 0);
        const std::size_t probes_at = sizeof record + record.dumped;
        std::vector<Probe> probes(record.probes);
        if (fetched.size() < probes_at + probes.size() * sizeof(Probe)) {
            texts.emplace_back("BROKEN LOG");
            break;
        }
        if (!probes.empty()) std::memcpy(probes.data(), fetched.data() + probes_at, probes.size() * sizeof(Probe));
        texts.push_back(Writer(record, fetched.subspan(sizeof record, record.dumped), probes, facts, ids).text());
        fetched = fetched.subspan(probes_at + probes.size() * sizeof(Probe));
    }
    return texts;
}

} // namespace fastrpc::conformance

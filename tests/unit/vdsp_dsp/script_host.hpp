// A host for tests of scripts: it lists one directory, keeps files that are written, and says yes to all the rest.
#pragma once

#include "host_side.hpp"

#include <deque>
#include <nlohmann/json.hpp>

namespace fastrpc::vdsp::test {

class ScriptTest : public HostTest {
protected:
    ScriptTest() {
        serve = [this](const Seen& call) { return serve_all(call); };
    }

    /// Attaches client 1 to the root PD and listens.
    void ready(DspConfig config = {}) {
        start(std::move(config));
        ASSERT_EQ(attach(1), 0);
        listen(1, 0);
    }

    using Ordered = std::shared_ptr<std::optional<nlohmann::json>>;
    /// Orders a script of the root PD; the outcome appears during run_until. A refusal is {"error": text}.
    Ordered order(const nlohmann::json& script, std::uint64_t limit_ms) {
        auto end = std::make_shared<std::optional<nlohmann::json>>();
        auto box = std::make_shared<std::pair<std::mutex, std::optional<nlohmann::json>>>();
        const nlohmann::json command{{"command", "run"}, {"pd", "root"}, {"script", script}, {"limit_ms", limit_ms}};
        dsp->run_script(command.dump(), [box](const Result<std::string>& outcome) {
            const std::lock_guard lock(box->first);
            box->second = outcome ? nlohmann::json::parse(*outcome) : nlohmann::json{{"error", outcome.error().text}};
        });
        pending_.push_back([box, end] {
            const std::lock_guard lock(box->first);
            if (box->second) *end = box->second;
        });
        return end;
    }
    nlohmann::json run(const nlohmann::json& script) {
        const Ordered end = order(script, 15'000);
        run_until([&] { return collect(), end->has_value(); });
        return **end;
    }
    /// Brings outcomes that arrived to those who ordered them.
    void collect() {
        for (const auto& each : pending_) each();
    }
    void run_until(const std::function<bool()>& done) {
        HostTest::run_until([&] { return collect(), done(); });
    }

    static std::string hex(const Bytes& bytes) {
        std::string digits;
        for (const std::byte byte : bytes) digits += fmt_digits(std::to_integer<unsigned>(byte));
        return digits;
    }

    /// Files that scripts wrote with fopen "w" live in `files`, too; what is opened by fopen is a file of that name.
    HostReply serve_all(const Seen& call) {
        const auto request = decode_request(Scalars{call.scalars}, call.blob, 1U << 30);
        if (!request) return {aee::bad_parm, {}};
        if (call.handle == 0 && call.method() == 0) {
            ReverseReply reply;
            lay_out_reply(request->capacities, reply);
            const std::string name = reinterpret_cast<const char*>(request->inputs.at(1).data());
            const std::uint32_t handle = name == "apps_std" ? 1 : name == "apps_mem" ? 2 : 3;
            std::memcpy(reply.outputs.at(0).data(), &handle, sizeof handle);
            return {0, reply.blob()};
        }
        if (call.handle == 1) return serve_std(call, *request);
        ReverseReply reply;
        lay_out_reply(request->capacities, reply);
        return {0, reply.blob()};
    }

    std::vector<std::string> directory; ///< what readdir finds

private:
    static std::string fmt_digits(unsigned byte) {
        constexpr std::string_view digits = "0123456789abcdef";
        return {digits[byte >> 4], digits[byte & 15U]};
    }

    HostReply serve_std(const Seen& call, const ReverseRequest& request) {
        ReverseReply reply;
        lay_out_reply(request.capacities, reply);
        const auto text = [&](std::size_t input) {
            return std::string(reinterpret_cast<const char*>(request.inputs.at(input).data()));
        };
        const auto put = [&](const auto& value) { std::memcpy(reply.outputs.at(0).data(), &value, sizeof value); };
        const unsigned extended = call.method() == 31 ? value_at<std::uint32_t>(request.inputs.at(0)) : call.method();
        switch (extended) {
        case 0: // fopen
            if (text(2) == "w") {
                files[text(1)].clear();
                put(std::uint32_t{7});
                written_ = text(1);
                return {0, reply.blob()};
            }
            if (accept_all && !files.contains(text(1))) break;
            return serve_opened(call, text(1));
        case 5: { // fwrite
            auto& file = files[written_];
            file.insert(file.end(), request.inputs.at(1).begin(), request.inputs[1].end());
            put(static_cast<std::uint32_t>(request.inputs[1].size()));
            return {0, reply.blob()};
        }
        case 3: // fclose
        case 4: // fread
            if (value_at<std::uint32_t>(request.inputs.at(0)) == 7) break;
            if (value_at<std::uint32_t>(request.inputs.at(0)) == 4) break; // of the table of methods
            return serve_files(call);
        case 19: // fopen_with_env
            if (text(3) == "abc") break;
            return serve_files(call);
        case 24: // fremove
            files.erase(text(1));
            break;
        case 26: // opendir
            entry_ = 0;
            put(std::uint64_t{5});
            return {0, reply.blob()};
        case 28: // readdir
            if (entry_ < directory.size()) {
                const std::string& name = directory[entry_++];
                std::memcpy(reply.outputs.at(0).data() + 4, name.c_str(), name.size());
            } else {
                reply.outputs.at(0)[260] = std::byte{1};
            }
            return {0, reply.blob()};
        case 33: // frename
            if (files.contains(text(1))) files[text(2)] = std::exchange(files[text(1)], {});
            if (files.contains(text(1))) files.erase(text(1));
            break;
        default:
            break;
        }
        return {0, reply.blob()};
    }

    // fopen as serve_files() has it for fopen_with_env.
    HostReply serve_opened(const Seen& call, const std::string& name) {
        const std::string texts[] = {"E", ";", name, "r"};
        std::vector<std::span<const std::byte>> inputs(1); // no primIn: serve_files() looks at the name alone
        for (const std::string& each : texts) inputs.push_back(std::as_bytes(std::span(each.c_str(), each.size() + 1)));
        const std::uint32_t capacity = 4;
        return serve_files({call.handle, 0x13050100, encode_request(inputs, {&capacity, 1})});
    }

protected:
    bool accept_all = true; ///< fopen of what is not there is no error

private:
    std::vector<std::function<void()>> pending_;
    std::string written_;
    std::size_t entry_ = 0;
};

} // namespace fastrpc::vdsp::test

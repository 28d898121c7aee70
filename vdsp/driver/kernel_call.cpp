// The calls that the kernel itself makes (KERNEL 1.12): inline arguments from the kernel's stack, 10 s at most.
#include "vdsp/driver/open_file.hpp"

#include <algorithm>
#include <cerrno>

namespace fastrpc::vdsp {

namespace {
/// Where the arguments of kernel calls seem to lie; each has a page of its own, so that none overlaps.
constexpr std::uint64_t kernel_stack = 0xFFFF'8000'8000'0000;
} // namespace

class OpenFile::KernelInputs final : public InputSource {
public:
    explicit KernelInputs(std::span<const KernelArgument> inputs) : inputs_(inputs) {}
    bool read(std::span<std::byte> destination) override {
        while (inputs_.front().mapped != nullptr || inputs_.front().length == 0) inputs_ = inputs_.subspan(1);
        std::ranges::copy(inputs_.front().input, destination.begin());
        inputs_ = inputs_.subspan(1);
        return true;
    }

private:
    std::span<const KernelArgument> inputs_;
};

Answer OpenFile::KernelEnd::answer() const {
    return error != 0 ? refuse(error) : answer_of(result);
}

OpenFile::KernelEnd OpenFile::kernel_call(Caller& caller, std::uint32_t handle, Scalars scalars,
                                          std::span<const KernelArgument> arguments) {
    if (channel_->dead()) return {.error = profile().gone_error};
    std::vector<CallArgument> call_arguments;
    for (const KernelArgument& argument : arguments)
        call_arguments.push_back(
            argument.mapped != nullptr
                ? *argument.mapped
                : CallArgument{.pointer = kernel_stack + std::uint64_t{argument.order} * page_bytes,
                               .length = argument.length});
    KernelInputs inputs(arguments);
    if (const int error = prepare(caller, scalars, call_arguments, inputs); error != 0) return {.error = error};
    switch (send(caller, handle, true)) {
    case CallEnd::interrupted:
        return {.gone = true};
    case CallEnd::timed_out:
        return {.error = ETIMEDOUT};
    case CallEnd::unsent:
    case CallEnd::dead:
        return {.error = profile().gone_error};
    case CallEnd::answered:
        break;
    }
    Call& call = caller.call;
    KernelEnd done{.result = call.result};
    const auto outputs = deliveries(call.layout, call.arguments, call.place, call.bytes());
    if (!outputs) {
        channel_->context().note_fatal(outputs.error().text);
    } else if (!outputs->empty()) {
        auto output = outputs->front().bytes;
        const std::uint64_t declared = call.arguments[outputs->front().index].length;
        if (output.size() > declared) {
            channel_->context().note_fatal("the DSP made an answer to the kernel longer than the kernel's memory");
            output = output.first(declared);
        }
        done.output.assign(output.begin(), output.end());
    }
    end(call, call.result);
    return done;
}

} // namespace fastrpc::vdsp

// The methods of the host's interfaces as scripts name them: one row each, as USERSPACE 4.7, 5.2 and 6.1 list them.
#pragma once

#include "vdsp/dsp/pd/script_values.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::vdsp {

/// What "as" saves of a method's outputs.
enum class ScriptSaves {
    nothing,
    byte,        ///< the u8 at 0 of primOut
    word,        ///< the u32 at 0 of primOut
    second_word, ///< the u32 at 4 of primOut
    wide,        ///< the u64 at 0 of primOut
    second_wide, ///< the u64 at 8 of primOut
    prim,        ///< primOut
    counted,     ///< as many bytes of the second output as the u32 at 0 of primOut says
    buffer,      ///< the second output
};

struct ScriptMethod {
    const char* name;
    const char* interface; ///< empty: apps_remotectl, which needs no opening
    unsigned method;
    /// Scalars of primIn, separated by spaces. "x": the u32 that the step gives as x. "x:8": a u64. "x=5": if
    /// absent, 5.
    /// "#x": length of the input x, or what the step gives as x_length. ">x": capacity of the second output.
    const char* scalars;
    const char* inputs; ///< names of the further inputs, separated by spaces; "x=r": if absent, the text r
    std::uint32_t prim_out = 0;
    ScriptSaves saves = ScriptSaves::nothing;
};

/// Null: there is none of that name.
const ScriptMethod* find_script_method(std::string_view name);

/// One reverse call, ready to be encoded.
struct ScriptCall {
    unsigned method = 0; ///< field of the scalars word
    std::vector<ScriptBytes> inputs;
    std::vector<std::uint32_t> capacities;
};

/// What `step` asks of `method`; throws ScriptError when something is missing. Adds the keys that it looked at.
ScriptCall make_script_call(const ScriptMethod& method, const nlohmann::json& step, const ScriptValues& values,
                            std::set<std::string>& keys);

} // namespace fastrpc::vdsp
